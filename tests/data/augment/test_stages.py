import numpy as np
import pytest
import tensorflow as tf
from fixtures.augmentation import MEAN, STD, plan_with
from fixtures.golden_recipe import MODES, run

from keras_cct.data.augment.mixing import soft_targets
from keras_cct.data.augment.plan import AugmentationPlan
from keras_cct.data.augment.stages import change_pixels, crop_batch, crop_image, draw_crops, mix_and_erase
from keras_cct.data.rng import SampleKeys


def photos(count: int, height: int = 20, width: int = 18, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype="uint8")


def augmented(images, indices, plan: AugmentationPlan, mode="eagerly", epoch=0, seed=0):
    """Returns images and targets after all stages."""

    def apply(images, indices):
        keys = SampleKeys(seed, tf.constant(epoch), indices)
        crops = crop_batch(images, draw_crops(keys), plan)
        return mix_and_erase(change_pixels(crops, keys, plan), soft_targets(indices % 10, 10, 0.1), keys, plan)

    return run(mode, apply, images, np.asarray(indices))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"aa": ""}),
        pytest.param({"reprob": 0.5, "remode": "pixel"}),
    ],
    ids=["policy", "jitter", "policy and erase"],
)
def test_augmentation_does_not_depend_on_the_batch(keys, mode):
    images, plan = photos(12), plan_with(**keys)
    together, _ = augmented(images, range(12), plan, mode)
    rows = [7, 2, 11]
    apart, _ = augmented(images[rows], rows, plan, mode)
    np.testing.assert_array_equal(together[rows], apart)


def test_seed_epoch_and_index_each_change_the_image():
    images, plan = photos(1).repeat(4, axis=0), plan_with()
    first, _ = augmented(images, range(4), plan)
    assert len({image.tobytes() for image in first}) == 4
    for other in ({"epoch": 1}, {"seed": 1}):
        assert (augmented(images, range(4), plan, **other)[0] != first).any()
    np.testing.assert_array_equal(augmented(images, range(4), plan)[0], first)


@pytest.mark.parametrize("mode", MODES)
def test_images_cropped_one_by_one_equal_a_batch(mode):
    images, plan = photos(6), plan_with(vflip=0.5)
    draws = draw_crops(SampleKeys(0, tf.constant(0), tf.range(6))).numpy()
    together = run(mode, lambda images, draws: crop_batch(images, draws, plan), images, draws)

    def crop_one_by_one(images, draws):
        return tf.map_fn(lambda item: crop_image(*item, plan), (images, draws), fn_output_signature=tf.uint8)

    for alone, row in zip(run(mode, crop_one_by_one, images, draws), together, strict=True):
        np.testing.assert_allclose(alone, row.astype(int), atol=1)  # another order of summation
        assert (alone == row).mean() > 0.98


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_flip_rates_flip_images(rate):
    image = np.zeros((1, 16, 16, 3), dtype="uint8")
    image[:, :4, :4] = 200
    plan = plan_with(scale=(1.0, 1.0), ratio=(1.0, 1.0), hflip=rate, vflip=rate, aa="", color_jitter=0.0)
    found, _ = augmented(image, [0], plan)
    np.testing.assert_array_equal(found, image[:, ::-1, ::-1] if rate else image)


OTHER_MODES = [(1, "eagerly"), (3, "in a dataset")]


def test_images_are_uint8_without_erasing_and_float32_with_it():
    assert augmented(photos(2), range(2), plan_with())[0].dtype == "uint8"
    assert augmented(photos(2), range(2), plan_with(reprob=0.1))[0].dtype == "float32"


@pytest.mark.parametrize(
    ("channels", "mode"),
    [(1, "in a dataset"), (3, "eagerly"), *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_MODES)],
)
def test_all_stages_accept_gray_and_color_images(channels, mode):
    statistics = {"mean": MEAN[:channels], "std": STD[:channels]}
    plan = plan_with((14, 12, channels), mixup=0.8, cutmix=1.0, reprob=0.25, remode="pixel", **statistics)
    images, targets = augmented(photos(8, channels=channels), range(8), plan, mode)
    assert images.shape == (8, 14, 12, channels)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
