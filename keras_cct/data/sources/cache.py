"""Sets that fit into memory decoded, which is the fastest."""

import logging
import os

import numpy as np
import tensorflow as tf

from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages
from keras_cct.data.unreadable import raising_input_errors

log = logging.getLogger(__name__)

MOST_ENCODED_BYTES = 2**28
MOST_PIXEL_BYTES = 2**30
BATCH_SIZE = 256


def load_if_small(data: EncodedImages) -> ImageSet:
    """Returns the set decoded, if encoded it has up to 256 MiB, and decoded one size and up to 1 GiB; else as it is.

    Raises:
        InputError: Too many images cannot be read.
    """
    num_bytes = 0
    for size in map(len, data.contents) if data.contents is not None else map(_file_size, data.names):
        num_bytes += size
        if num_bytes > MOST_ENCODED_BYTES:
            return data
    with raising_input_errors(data):
        images = _decode_all(data)
    if images is None:
        return data
    height, width, channels = images.image_shape
    log.info("loaded %d images of %dx%d pixels, %d channels into memory", len(images), height, width, channels)
    return images


def _file_size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0  # a link to nowhere is one more unreadable image


def _decode_all(data: EncodedImages) -> LabeledImages | None:
    """Returns all images, or None as soon as they do not share one size or turn out too large."""
    first, _ = data.read(tf.constant(0))
    if len(data) * int(tf.size(first)) > MOST_PIXEL_BYTES:
        return None

    def of_one_size(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index)
        fits = tf.reduce_all(tf.shape(image) == first.shape)
        image = tf.cond(fits, lambda: image, lambda: tf.zeros(first.shape, tf.uint8))
        return tf.ensure_shape(image, first.shape), label, fits

    images, labels = np.empty((len(data), *first.shape), "uint8"), np.empty(len(data), "int64")
    batches = data.in_order().map(of_one_size, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE)
    for number, (batch, batch_labels, fits) in enumerate(batches.prefetch(tf.data.AUTOTUNE)):
        if not tf.reduce_all(fits):
            return None
        place = slice(number * BATCH_SIZE, number * BATCH_SIZE + len(batch))
        images[place], labels[place] = batch.numpy(), batch_labels.numpy()
    return LabeledImages(images, labels, data.class_names)
