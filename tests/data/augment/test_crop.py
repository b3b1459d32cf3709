import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, INPUT, MODES, run

from keras_cct.data.augment.crop import BOX_DRAWS, box_sides, central_boxes, crop_boxes, resize_boxes
from keras_cct.data.rng import SampleKeys, draw_table

COUNT = 20_000
RATIO = (3 / 4, 4 / 3)


def drawn_boxes(height: int, width: int, scale=(0.8, 1.0), ratio=RATIO) -> np.ndarray:
    draws = draw_table(SampleKeys(3, tf.constant(0), tf.range(COUNT)), 0, BOX_DRAWS)
    return crop_boxes(draws, tf.fill([COUNT], height), tf.fill([COUNT], width), scale, ratio).numpy()


@pytest.mark.parametrize("mode", MODES)
def test_box_sides_match_golden_sides(mode):
    rows = np.array(GOLDEN["random_resized_crop"]["rows"], dtype="float64")
    width, height, share, aspect, crop_width, crop_height, accepted = rows.T
    found = run(mode, box_sides, width * height * share, aspect)
    np.testing.assert_array_equal(found, [crop_width, crop_height])
    np.testing.assert_array_equal((found[0] <= width) & (found[1] <= height), accepted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "case", GOLDEN["crop_resize"]["cases"], ids=lambda case: f"{case['size']} {case['interpolation']}"
)
def test_resized_crops_match_golden_pixels(case, mode):
    left, top, right, bottom = case["crop_left_top_right_bottom"]
    box = np.array([[top, left, bottom - top, right - left]], dtype="int32")
    is_bicubic, flips = np.array([case["interpolation"] == "bicubic"]), np.array([[False, False]])
    size = (case["size"],) * 2
    found = run(
        mode,
        lambda *tensors: resize_boxes(tensors[0], tensors[1], size, *tensors[2:]),
        INPUT[None],
        box,
        is_bicubic,
        flips,
    )
    # Pillow's weights have 22 bits, ours 24: values near a half may round differently.
    difference = np.abs(found[0].astype(int) - np.reshape(case["output"], found[0].shape))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("length", [9, 70], ids=["larger", "smaller"])
def test_resizing_in_several_blocks_equals_tensorflow(length):
    image = np.random.default_rng(0).integers(
        80, 170, (80, 80, 3), dtype="uint8"
    )  # low contrast, so that nothing overshoots [0, 255]
    box, size = tf.constant([[4, 5, length, length]]), (47, 35)
    for is_bicubic, method in ((False, "bilinear"), (True, "bicubic")):
        found = resize_boxes(image[None], box, size, tf.constant([is_bicubic]), tf.constant([[True, True]]))[0]
        crop = image[4 : 4 + length, 5 : 5 + length]
        wanted = np.round(tf.image.resize(crop, size, method, antialias=True))[::-1, ::-1]
        assert np.abs(found.numpy() - wanted).max() <= 1  # TensorFlow does not round between the two axes


def test_flips_mirror_the_crop():
    images = tf.constant(np.stack([INPUT] * 3))
    boxes = tf.tile([[2, 1, 20, 17]], (3, 1))
    flips = tf.constant([[False, False], [True, False], [False, True]])
    plain, horizontal, vertical = resize_boxes(images, boxes, (13, 11), tf.fill([3], True), flips).numpy()
    np.testing.assert_array_equal(horizontal, plain[:, ::-1])
    np.testing.assert_array_equal(vertical, plain[::-1])


def test_crop_of_the_output_size_is_copied():
    found = resize_boxes(
        INPUT[None], tf.constant([[3, 2, 12, 9]]), (12, 9), tf.constant([True]), tf.fill([1, 2], False)
    )
    np.testing.assert_array_equal(found[0], INPUT[3:15, 2:11])


def test_boxes_at_32_pixels_have_the_statistics_of_timm():
    wanted = GOLDEN["random_resized_crop"]["stats_32x32_scale0.8_1.0"]
    top, left, height, width = drawn_boxes(32, 32).T
    # Five standard deviations of 20,000 boxes.
    assert abs(width.mean() - wanted["mean_w"]) < 0.07
    assert abs(height.mean() - wanted["mean_h"]) < 0.07
    assert width.min() == height.min() == wanted["min_w"]
    assert abs((height * width).mean() / 1024 - wanted["mean_area_fraction"]) < 0.0025
    whole = wanted["frac_full_32x32_given_accept"] + wanted["prob_fallback_full_image_after_10"]
    assert abs(((height == 32) & (width == 32)).mean() - whole) < 0.005
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 32).all()
    assert (left + width <= 32).all()
    # Offsets reach both ends.
    assert ((top + height == 32) & (height < 32)).any()
    assert ((left == 0) & (width < 32)).any()


def test_aspect_is_log_uniform_and_area_uniform_if_all_attempts_fit():
    _, _, height, width = drawn_boxes(400, 400, scale=(0.1, 0.4)).T
    logs = np.sort(np.log(width / height) / np.log(4 / 3))
    np.testing.assert_allclose(logs, np.linspace(-1, 1, COUNT), atol=0.04)
    np.testing.assert_allclose(np.sort(height * width / 160_000), np.linspace(0.1, 0.4, COUNT), atol=0.006)


def test_falls_back_to_the_center_as_often_as_timm():
    wanted = GOLDEN["random_resized_crop"]["stats_32x32_scale0.8_1.0"]
    shares, aspects = np.random.default_rng(0).uniform(size=(2, COUNT))
    sides = box_sides(1024 * (0.8 + 0.2 * shares), np.exp((2 * aspects - 1) * np.log(4 / 3)))
    accepted = ((sides[0] <= 32) & (sides[1] <= 32)).numpy().mean()
    assert abs(accepted - wanted["accept_prob_per_attempt"]) < 5 * 0.5 / np.sqrt(COUNT)
    # No attempt fits if all boxes are larger than the image.
    np.testing.assert_array_equal(drawn_boxes(20, 20, scale=(2.0, 3.0))[0], [0, 0, 20, 20])


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(30, 100, (0, 30, 30, 40)), (100, 31, (29, 0, 41, 31)), (30, 35, (0, 0, 30, 35))],
)
def test_fallback_is_the_largest_central_box_within_the_ratio(height, width, box):
    found = central_boxes(tf.constant([height]), tf.constant([width]), RATIO)
    np.testing.assert_array_equal(found[0], box)
