"""Statistics of a dataset: class counts, image sizes, channel mean and standard deviation."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import decoded_images
from keras_cct.data.sources.labels import check_labels
from keras_cct.data.survey import channel_sums
from keras_cct.data.unreadable import raising_input_errors

BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of the images of one split.

    Args:
        counts: Number of images of each class, int64 array of shape (classes,).
        sizes: Height and width of every image, int64 array of shape (images, 2).
        mean: Mean of each channel over all pixels, in [0, 1].
        std: Standard deviation of each channel over all pixels, in [0, 1].
    """

    counts: np.ndarray
    sizes: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]


def image_statistics(data: ImageSet) -> Statistics:
    """Computes the statistics in one pass over the images.

    Raises:
        InputError: Too many images cannot be read, or a label is out of range.
    """

    def measure(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return label, tf.shape(image)[:2], *channel_sums(image)

    batches = decoded_images(data).map(measure, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE).prefetch(1)
    with raising_input_errors(data):
        columns = zip(*batches.as_numpy_iterator(), strict=True)
        labels, sizes, sums, sums_of_squares = (np.concatenate(column) for column in columns)
    check_labels(labels, len(data.class_names), "data")
    num_pixels = math.fsum(sizes.prod(axis=1, dtype="float64"))
    mean = sums.sum(axis=0) / num_pixels
    std = np.sqrt(np.maximum(sums_of_squares.sum(axis=0) / num_pixels - mean * mean, 0))
    return Statistics(
        counts=np.bincount(labels, minlength=len(data.class_names)),
        sizes=sizes.astype("int64"),
        mean=tuple((mean / 255).tolist()),
        std=tuple((std / 255).tolist()),
    )
