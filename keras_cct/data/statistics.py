"""What is in a set of images: how many of each class, how large, how bright."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import decoded_images
from keras_cct.data.unreadable import raising_input_errors


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What `image_statistics` counts.

    Args:
        counts: Number of images of each class, int64 array of shape (classes,).
        sizes: Height and width of every image, int64 array of shape (images, 2).
        mean: Mean of each channel over all pixels, in units of 0..1.
        std: Standard deviation of each channel over all pixels, in units of 0..1.
    """

    counts: np.ndarray
    sizes: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]


def image_statistics(data: ImageSet) -> Statistics:
    """Reads all images once and counts.

    Raises:
        InputError: Too many images cannot be read.
    """

    def sums(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pixels = tf.cast(image, tf.float64)
        return label, tf.shape(image)[:2], tf.reduce_sum(pixels, (0, 1)), tf.reduce_sum(pixels * pixels, (0, 1))

    batches = decoded_images(data).map(sums, num_parallel_calls=tf.data.AUTOTUNE).batch(256).prefetch(1)
    with raising_input_errors(data):
        parts = zip(*batches.as_numpy_iterator(), strict=True)
        labels, sizes, totals, squares = (np.concatenate(part) for part in parts)
    num_pixels = math.fsum(sizes.prod(axis=1, dtype="float64"))
    mean = totals.sum(axis=0) / num_pixels
    std = np.sqrt(np.maximum(squares.sum(axis=0) / num_pixels - mean * mean, 0))
    counts = np.bincount(labels, minlength=len(data.class_names))
    return Statistics(counts, sizes.astype("int64"), *(tuple((values / 255).tolist()) for values in (mean, std)))
