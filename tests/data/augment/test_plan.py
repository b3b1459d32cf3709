import pytest
from fixtures.augmentation import plan_with, recipe_with
from fixtures.golden_recipe import GOLDEN

from keras_cct.data.augment import plan as plan_module
from keras_cct.data.augment.erasing import Erasing
from keras_cct.data.augment.mixing import Mixing
from keras_cct.data.augment.plan import Augmentation, Cropping
from keras_cct.data.augment.randaugment import RandAugment
from keras_cct.errors import InputError


def test_every_key_of_the_recipe_reaches_the_plan():
    plan = plan_with(
        (8, 6, 3),
        batch_size=10,
        mean=(0.1, 0.2, 0.3),
        std=(0.4,),
        no_aug=True,
        scale=(0.5, 0.6),
        ratio=(1.0, 1.5),
        hflip=0.1,
        vflip=0.2,
        train_interpolation="bicubic",
        aa="rand-m5-mstd0.1-n3-inc1",
        color_jitter=0.3,
        mixup=0.8,
        cutmix=0.9,
        mixup_prob=0.7,
        mixup_switch_prob=0.4,
        mixup_mode="elem",
        mixup_off_epoch=3,
        reprob=0.25,
        remode="pixel",
        recount=2,
    )
    assert plan.augmentation == Augmentation(
        mean=(0.1, 0.2, 0.3),
        std=(0.4,),
        no_aug=True,
        cropping=Cropping((0.5, 0.6), (1.0, 1.5), 0.1, 0.2, "bicubic"),
        policy=RandAugment(5, 0.1, 3, True),
        color_jitter=0.3,
        mixing=Mixing(0.8, 0.9, 0.7, 0.4, "elem", 3),
        erasing=Erasing(0.25, "pixel", 2),
    )
    assert (plan.batch_size, plan.image_size, plan.layer) == (10, (8, 6), None)


def test_the_policy_is_parsed_once(monkeypatch):
    parsed = []
    monkeypatch.setattr(plan_module, "parse_policy", lambda policy: parsed.append(policy) or RandAugment())
    augmentation = Augmentation.from_recipe(recipe_with(aa="rand-m9"))
    assert augmentation.for_images((16, 16, 3), 4).augmentation.policy is augmentation.policy
    assert parsed == ["rand-m9"]


@pytest.mark.parametrize(
    ("side", "batch_size", "wanted"), [(32, 128, 1024), (32, 96, 960), (32, 1000, 1000), (224, 64, 64)]
)
def test_groups_of_small_images_are_several_batches(side, batch_size, wanted):
    assert plan_with((side, side, 3), batch_size).group_size == wanted


def test_fill_colors_match_golden_colors():
    for name, wanted in GOLDEN["randaugment"]["fill_rgb"].items():
        mean = tuple(GOLDEN["normalisation"]["datasets"][name]["mean"])
        assert list(plan_with(mean=mean).fill_color) == wanted


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"hflip": -0.5}, ["hflip", "-0.5"]),
        ({"vflip": 2}, ["vflip", "2"]),
        ({"scale": (1.0, 0.5)}, ["scale", "1.0, 0.5"]),
        ({"scale": (0.5,)}, ["scale", "0.5"]),
        ({"scale": (0.5, 3.0)}, ["scale", "0.5, 3.0"]),
        ({"ratio": (0.0, 0.5)}, ["ratio", "0.0, 0.5"]),
        ({"ratio": ()}, ["ratio"]),
        ({"color_jitter": -1}, ["color_jitter", "-1"]),
        ({"train_interpolation": "nearest"}, ["train_interpolation", "nearest", "bilinear"]),
        ({"aa": "rand-x1"}, ["'x1'", "'rand-x1'"]),
        ({"mixup_mode": "half"}, ["mixup_mode", "half", "elem"]),
        ({"remode": "noise"}, ["remode", "noise", "pixel"]),
        ({"mean": ()}, ["mean"]),
        ({"aa": "", "aa_args": {"severity": 1}}, ["aa_args", "severity", "aa=''"]),
        ({"aa": "keras.RandAugmnt"}, ["'keras.RandAugmnt'", "RandAugment"]),
    ],
)
def test_wrong_keys_are_rejected_before_the_images_are_known(keys, parts):
    with pytest.raises(InputError) as error:
        Augmentation.from_recipe(recipe_with(**keys))
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_odd_batches_are_rejected_before_the_images_are_known_if_images_are_mixed(key):
    Augmentation.from_recipe(recipe_with()).check_batch_size(5)
    augmentation = Augmentation.from_recipe(recipe_with(**{key: 0.8}))
    augmentation.check_batch_size(4)
    for check in (augmentation.check_batch_size, lambda size: augmentation.for_images((8, 8, 3), size)):
        with pytest.raises(InputError, match="even .* 5"):
            check(5)


@pytest.mark.parametrize("key", ["mean", "std"])
def test_rejects_statistics_of_another_number_of_channels(key):
    augmentation = Augmentation.from_recipe(recipe_with(**{key: (0.1, 0.2)}))
    with pytest.raises(InputError) as error:
        augmentation.for_images((8, 8, 3), 4)
    assert all(part in str(error.value) for part in (key, "[0.1, 0.2]", "3"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"aa": "rand-m9-mstd0.5"}, "aa changes the colors .* these have 4. Set aa to ''"),
        ({"aa": ""}, "color_jitter to 0"),
    ],
)
def test_rejects_changes_of_colors_of_images_without_colors(keys, message):
    with pytest.raises(InputError, match=message):
        Augmentation.from_recipe(recipe_with(color_jitter=0.4, mean=(0.5,), std=(0.5,), **keys)).for_images(
            (8, 8, 4), 4
        )
    neutral = recipe_with(color_jitter=0.0, mean=(0.5,), std=(0.5,), aa="")
    assert Augmentation.from_recipe(neutral).for_images((8, 8, 4), 4).image_shape == (8, 8, 4)


def test_rejects_layers_that_change_the_image_size():
    recipe = recipe_with(aa="keras.RandomCrop", aa_args={"height": 8, "width": 8})
    with pytest.raises(InputError, match="changes the .*size"):
        Augmentation.from_recipe(recipe).for_images((16, 16, 3), 4)
