import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.data.statistics import image_statistics
from keras_cct.data.survey import channel_sums
from keras_cct.errors import InputError


def test_statistics_equal_numpy():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (300, 5, 4, 3), dtype="uint8")
    labels = random.integers(0, 3, 300)
    found = image_statistics(LabeledImages(images, labels, ("a", "b", "c", "never")))
    assert found.counts.tolist() == [*np.bincount(labels), 0]
    assert (found.sizes == (5, 4)).all()
    np.testing.assert_allclose(found.mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-12)


def test_sums_of_channels_are_exact():
    image = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype="uint8")
    sums, squares = channel_sums(tf.constant(image))
    np.testing.assert_array_equal(sums, image.sum((0, 1), dtype="int64"))
    np.testing.assert_array_equal(squares, (image.astype("int64") ** 2).sum((0, 1)))


def test_every_pixel_has_the_same_weight_in_images_of_different_sizes():
    images = [np.zeros((2, 2, 3), "uint8"), np.full((4, 8, 3), 255, "uint8")]
    contents = [tf.io.encode_png(image).numpy() for image in images]
    found = image_statistics(EncodedImages(["a", "b"], np.array([0, 1]), ("x", "y"), contents))
    assert found.sizes.tolist() == [[2, 2], [4, 8]]
    np.testing.assert_allclose(found.mean, [32 / 36] * 3, rtol=1e-12)


def test_unreadable_images_are_an_error():
    with pytest.raises(InputError, match="cannot be read, .*'[ab]'"):
        image_statistics(EncodedImages(["a", "b"], np.array([0, 1]), ("x", "y"), [b"no", b"no"]))


@pytest.mark.parametrize("label", [-1, 2, 10**9, 2**63 - 1])
def test_labels_out_of_range_are_an_error(label):
    data = LabeledImages(np.zeros((2, 4, 4, 3), "uint8"), np.array([0, label]), ("a", "b"))
    with pytest.raises(InputError, match=rf"label {label} in 'data' is not in \[0, 1\]"):
        image_statistics(data)
