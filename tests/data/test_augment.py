import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.augment import crop_and_flip


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (3, 6, 5, 2), dtype="uint8")


def run(mode: str, *arguments):
    if mode == "eagerly":
        return crop_and_flip(*arguments).numpy()
    tensors, rates = arguments[:2], arguments[2:]
    data = tf.data.Dataset.from_tensors(tensors).map(lambda images, draws: crop_and_flip(images, draws, *rates))
    return next(iter(data)).numpy()


@pytest.mark.parametrize("mode", ["eagerly", "in a dataset"])
def test_draws_choose_offset_and_flip(mode):
    x = images()
    # Offsets 0 of 5, 2 of 5 (the image itself) and 4 of 5; the second image is flipped.
    draws = np.array([[0.0, 0.0, 0.9], [0.5, 0.5, 0.1], [0.99, 0.5, 0.9]], dtype="float32")
    y = run(mode, x, draws, 2, 0.5)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_array_equal(y[0], padded[0, :6, :5])
    np.testing.assert_array_equal(y[1], x[1][:, ::-1])
    np.testing.assert_array_equal(y[2], padded[2, 4:, 2:7])
    assert y.dtype == "uint8"


def test_no_padding_and_no_flips_change_nothing():
    draws = np.random.default_rng(0).uniform(size=(3, 3)).astype("float32")
    np.testing.assert_array_equal(crop_and_flip(images(), draws, 0, 0.0), images())
