import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import MODES, run

from keras_cct.data.augment.color_jitter import ADJUSTMENTS, JITTER_DRAWS, ORDERS, jitter_colors
from keras_cct.data.rng import SampleKeys, draw_table


@pytest.mark.parametrize("mode", MODES)
def test_adjustments_have_the_drawn_order_and_strength(mode):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype="uint8")
    draws = np.full((6, JITTER_DRAWS), 0.5, dtype="float32")
    draws[:, 0] = (np.arange(6) + 0.5) / 6  # every order once
    draws[:, 1:] = [0.0, 0.75, 0.999]
    found = run(mode, lambda images, draws: jitter_colors(images, draws, 0.4), images, draws)
    factors = np.float32(0.6) + draws[0, 1:] * np.float32(0.8)
    for row, order in enumerate(ORDERS):
        wanted = tf.constant(images[row : row + 1])
        for index in order:
            wanted = ADJUSTMENTS[index](wanted, tf.constant(factors[index : index + 1]))
        np.testing.assert_array_equal(found[row], wanted[0])


def test_strength_above_one_gives_no_negative_factors():
    draws = draw_table(SampleKeys(0, tf.constant(0), tf.range(300)), 0, JITTER_DRAWS)
    images = tf.fill([300, 3, 3, 1], tf.constant(100, tf.uint8))
    # With brightness factors in [0, 4] few images turn black; in [-2, 4], one third would.
    assert np.mean(jitter_colors(images, draws, 3.0).numpy().max(axis=(1, 2, 3)) == 0) < 0.1


def test_strength_zero_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 4, 3), dtype="uint8")
    draws = draw_table(SampleKeys(0, tf.constant(0), tf.range(4)), 0, JITTER_DRAWS)
    np.testing.assert_array_equal(jitter_colors(images, draws, 0.0), images)
