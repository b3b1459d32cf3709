import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, MODES, run

from keras_cct.data.augment.crop import box_sides
from keras_cct.data.augment.erasing import Erasing, erase, erased_boxes
from keras_cct.data.rng import SampleKeys, draw_table
from keras_cct.errors import InputError

COUNT = 20_000
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def keys(count: int, first: int = 0) -> SampleKeys:
    return SampleKeys(5, tf.constant(1), tf.range(first, first + count))


def boxes(erasing: Erasing, side: int, count: int = COUNT) -> np.ndarray:
    """Returns all boxes, shape (boxes per image, images, 4)."""
    draws = draw_table(keys(count), 0, erasing.num_draws)
    return np.stack(erased_boxes(draws, side, side, erasing))


def erased(remode: str, mode: str = "eagerly", count: int = 40, first: int = 0, recount: int = 1) -> np.ndarray:
    """Returns images of 16 x 16 pixels of value 7; pixels of other values were erased."""
    erasing = Erasing(1.0, remode, recount)
    images = np.full((count, 16, 16, 3), 7, dtype="uint8")

    def apply(images, indices):
        sample_keys = SampleKeys(5, tf.constant(1), indices)
        draws = draw_table(sample_keys, 0, erasing.num_draws)
        return erase(images, draws, sample_keys, erasing, MEAN, STD)

    return run(mode, apply, images, np.arange(first, first + count))


@pytest.mark.parametrize("mode", MODES)
def test_box_sides_match_golden_sides(mode):
    side, share, aspect, height, width, accepted = np.array(GOLDEN["random_erasing"]["rows"], dtype="float64").T
    found = run(mode, box_sides, side * side * share, aspect)
    np.testing.assert_array_equal(found, [height, width])
    np.testing.assert_array_equal((found[0] < side) & (found[1] < side), accepted)


def test_boxes_have_the_rate_area_and_aspect_of_timm():
    top, left, height, width = boxes(Erasing(0.25, "pixel"), 1000)[0].T
    is_erased = height > 0
    assert abs(is_erased.mean() - 0.25) < 5 * np.sqrt(0.1875 / COUNT)
    top, left, height, width = (side[is_erased] for side in (top, left, height, width))
    # At 1000 pixels nearly every attempt fits (all with an area below 0.3): uniform area, log-uniform aspect.
    small = height * width < 0.29e6
    area, log_aspect = np.sort((height * width)[small] / 1e6), np.sort(np.log(height / width)[small])
    np.testing.assert_allclose(area, np.linspace(0.02, 0.29, len(area)), atol=0.012)
    np.testing.assert_allclose(log_aspect, np.linspace(-1, 1, len(area)) * np.log(1 / 0.3), atol=0.12)
    assert height.max() < 1000
    assert width.max() < 1000
    assert 0.3 < (height * width).max() / 1e6 < 1 / 3 + 0.001
    position = (top / (1000 - height)).mean(), (left / (1000 - width)).mean()
    assert np.abs(np.array(position) - 0.5).max() < 5 * 0.29 / np.sqrt(is_erased.sum())


def test_number_of_boxes_is_uniform_and_divides_the_area():
    found = boxes(Erasing(1.0, "const", 3), 1000)
    areas = found[..., 2] * found[..., 3] / 1e6  # (boxes, images)
    counts = (areas > 0).sum(axis=0)
    np.testing.assert_allclose(np.bincount(counts, minlength=4) / COUNT, [0, 1 / 3, 1 / 3, 1 / 3], atol=0.017)
    assert areas[:, counts == 3].max() < 1 / 9 + 0.001


@pytest.mark.parametrize("mode", MODES)
def test_const_fills_with_the_mean(mode):
    found = erased("const", mode)
    assert found.dtype == "float32"
    box = found[..., 0] != 7
    assert 0.1 < box.mean() < 0.25
    np.testing.assert_array_equal(found[box], np.tile(np.float32([127.5, 102, 76.5]), (box.sum(), 1)))
    np.testing.assert_array_equal(found[~box], 7)


def test_rand_fills_with_one_color_per_box():
    found = erased("rand")
    colors = [np.unique(image[image[..., 0] != 7], axis=0) for image in found]
    assert {len(color) for color in colors} == {1}
    assert len(np.unique(np.concatenate(colors)[:, 0])) == 40


@pytest.mark.parametrize("mode", MODES)
def test_pixel_fills_with_noise_that_normalizes_to_standard_normal(mode):
    found = erased("pixel", mode, count=400)
    noise = (found[found[..., 0] != 7] / 255 - MEAN) / STD  # (pixels, channels)
    assert len(noise) > 15_000
    assert np.abs(noise.mean(axis=0)).max() < 0.04  # five standard deviations
    assert np.abs(noise.std(axis=0) - 1).max() < 0.03
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.04
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.04


@pytest.mark.parametrize("remode", ["rand", "pixel"])
def test_erasing_does_not_depend_on_the_batch(remode):
    np.testing.assert_array_equal(erased(remode, recount=2)[10:30], erased(remode, count=20, first=10, recount=2))


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"reprob": -0.1}, ["reprob", "-0.1", "0 to 1"]),
        ({"remode": "noise"}, ["remode", "'noise'", "const, rand, pixel"]),
        ({"recount": 0}, ["recount", "0", "at least 1"]),
    ],
)
def test_rejects_values_out_of_range(values, parts):
    with pytest.raises(InputError) as error:
        Erasing(**values)
    assert all(part in str(error.value) for part in parts)
