import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, MODES
from fixtures.golden_recipe import run as run_in_mode

from keras_cct.data.augment.erasing import Erasing
from keras_cct.data.augment.mixing import Mixing, soft_targets
from keras_cct.data.augment.plan import (
    Augmentation,
    augment_batch,
    augment_crops,
    crop_batch,
    crop_image,
    draw_crops,
    group_size,
)
from keras_cct.data.rng import SampleKeys
from keras_cct.errors import InputError

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
POLICY = "rand-m9-mstd0.5-inc1"


def photos(count: int, height: int = 20, width: int = 18, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype="uint8")


def augmentation(**values) -> Augmentation:
    return Augmentation((16, 16), MEAN, STD, **{"scale": (0.5, 1.0), "aa": POLICY} | values)


def augmented(images, indices, how: Augmentation, mode="eagerly", epoch=0, seed=0):
    def apply(images, indices):
        targets = soft_targets(indices % 10, 10, 0.1)
        return augment_batch(images, targets, SampleKeys(seed, tf.constant(epoch), indices), how)

    return run_in_mode(mode, apply, images, np.asarray(indices))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "values", [{}, {"aa": ""}, {"erasing": Erasing(0.5, "pixel")}], ids=["policy", "jitter", "erase"]
)
def test_an_image_is_augmented_alike_in_every_batch(values, mode):
    images, how = photos(12), augmentation(**values)
    together, _ = augmented(images, range(12), how, mode)
    rows = [7, 2, 11]
    apart, _ = augmented(images[rows], rows, how, mode)
    np.testing.assert_array_equal(together[rows], apart)


def test_seed_epoch_and_index_each_change_the_image():
    images, how = photos(1).repeat(4, axis=0), augmentation()
    first, _ = augmented(images, range(4), how)
    assert len({image.tobytes() for image in first}) == 4
    for other in ({"epoch": 1}, {"seed": 1}):
        assert (augmented(images, range(4), how, **other)[0] != first).any()
    np.testing.assert_array_equal(augmented(images, range(4), how)[0], first)


@pytest.mark.parametrize("mode", MODES)
def test_images_cropped_one_by_one_equal_a_batch(mode):
    images, how = photos(6), augmentation(vflip=0.5)
    draws = draw_crops(SampleKeys(0, tf.constant(0), tf.range(6))).numpy()
    together = run_in_mode(mode, lambda images, draws: crop_batch(images, draws, how), images, draws)
    for row in range(6):
        alone = run_in_mode(mode, lambda image, draws: crop_image(image, draws, how), images[row], draws[row])
        np.testing.assert_allclose(alone, together[row].astype(int), atol=1)  # sums in another order
        assert (alone == together[row]).mean() > 0.999


def test_cropped_images_can_be_augmented_later():
    images, how, keys = photos(6), augmentation(mixing=Mixing(0.8, 1.0)), SampleKeys(0, tf.constant(0), tf.range(6))
    targets = soft_targets(tf.range(6), 10, 0.1)
    crops = crop_batch(images, draw_crops(keys), how)
    for found, wanted in zip(
        augment_crops(crops, targets, keys, how), augment_batch(images, targets, keys, how), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("side", "batch_size", "wanted"), [(32, 128, 1024), (32, 96, 960), (32, 1000, 1000), (224, 64, 64)]
)
def test_groups_of_small_images_are_several_batches(side, batch_size, wanted):
    how = Augmentation((side, side), MEAN, STD)
    assert group_size(batch_size, how) == wanted


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_flip_rates_mirror_images(rate):
    image = np.zeros((1, 16, 16, 3), dtype="uint8")
    image[:, :4, :4] = 200
    how = augmentation(scale=(1.0, 1.0), ratio=(1.0, 1.0), hflip=rate, vflip=rate, aa="", color_jitter=0.0)
    found, _ = augmented(image, [0], how)
    np.testing.assert_array_equal(found, image[:, ::-1, ::-1] if rate else image)


def test_images_are_uint8_unless_some_are_erased():
    assert augmented(photos(2), range(2), augmentation())[0].dtype == "uint8"
    assert augmented(photos(2), range(2), augmentation(erasing=Erasing(0.1)))[0].dtype == "float32"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_whole_recipe_runs_on_gray_and_color_images(channels, mode):
    mixing, erasing = Mixing(0.8, 1.0), Erasing(0.25, "pixel")
    how = Augmentation((14, 12), MEAN[:channels], STD[:channels], aa=POLICY, mixing=mixing, erasing=erasing)
    images, targets = augmented(photos(8, channels=channels), range(8), how, mode)
    assert images.shape == (8, 14, 12, channels)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)


def test_fill_colors_are_the_golden_ones():
    for name, wanted in GOLDEN["randaugment"]["fill_rgb"].items():
        how = Augmentation((16, 16), tuple(GOLDEN["normalization"]["datasets"][name]["mean"]), STD)
        assert list(how.fill_color) == wanted


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hflip": -0.5}, "hflip must be from 0 to 1, got -0.5"),
        ({"vflip": 2}, "vflip must be from 0 to 1, got 2"),
        (
            {"scale": (1.0, 0.5)},
            "scale must be two numbers above 0, the lower one first, got (1.0, 0.5)",
        ),
        (
            {"ratio": (0.0, 0.5)},
            "ratio must be two numbers above 0, the lower one first, got (0.0, 0.5)",
        ),
        ({"color_jitter": -1}, "color_jitter must be at least 0, got -1"),
        (
            {"train_interpolation": "nearest"},
            "train_interpolation must be one of random, bilinear, bicubic, got 'nearest'",
        ),
        ({"aa": "rand-x1"}, "unknown part 'x1' in policy 'rand-x1'."),
    ],
)
def test_impossible_values_are_refused(values, message):
    with pytest.raises(InputError) as error:
        augmentation(**values)
    assert str(error.value).startswith(message)
