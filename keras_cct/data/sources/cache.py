"""Decoded datasets cached in memory, the fastest way to read them."""

import logging
import math

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import without_optimizations
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages
from keras_cct.data.survey_index import Survey
from keras_cct.data.unreadable import raising_input_errors

log = logging.getLogger(__name__)

MAX_ENCODED_BYTES = 2**28
MAX_DECODED_BYTES = 2**30
BATCH_SIZE = 256


def cache_if_small(data: EncodedImages, survey: Survey | None = None) -> ImageSet:
    """Caches the decoded images in memory if they fit and share one size; otherwise returns `data`.

    The limits are 256 MiB of encoded and 1 GiB of decoded images.

    Args:
        data: The images.
        survey: Survey of their files; None for encoded images in memory, and for files of more than 2 GiB.

    Raises:
        InputError: Too many images cannot be read.
    """
    if survey is not None:
        num_bytes, has_one_size = survey.file_bytes.sum(), (survey.sizes == survey.sizes[:1]).all()
    elif data.contents is not None:
        num_bytes, has_one_size = sum(map(len, data.contents)), True
    else:
        return data
    if num_bytes > MAX_ENCODED_BYTES or not has_one_size:
        return data
    with raising_input_errors(data):
        images = _decode_all(data, survey)
    if images is None:
        return data
    height, width, channels = images.image_shape
    log.info("cached %d images of %dx%d pixels with %d channels in memory", len(images), height, width, channels)
    return images


def _decode_all(data: EncodedImages, survey: Survey | None) -> LabeledImages | None:
    """Returns all images, or None if they differ in size or exceed the limit."""
    if survey is None:
        first_shape = data.read(tf.constant(0))[0].numpy().shape
    else:
        first_shape = (*survey.sizes[0].tolist(), data.channels)
    if len(data) * math.prod(first_shape) > MAX_DECODED_BYTES:
        return None

    def read_with_first_shape(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index)
        has_shape = tf.reduce_all(tf.shape(image) == first_shape)
        image = tf.cond(has_shape, lambda: image, lambda: tf.zeros(first_shape, tf.uint8))
        return tf.ensure_shape(image, first_shape), label, has_shape

    images, labels = np.empty((len(data), *first_shape), "uint8"), np.empty(len(data), "int64")
    batches = data.in_order().map(read_with_first_shape, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE)
    batches = batches.prefetch(tf.data.AUTOTUNE).with_options(without_optimizations())
    for number, (batch, batch_labels, has_shape) in enumerate(batches):
        if not tf.reduce_all(has_shape):
            return None
        rows = slice(number * BATCH_SIZE, number * BATCH_SIZE + len(batch))
        images[rows], labels[rows] = batch.numpy(), batch_labels.numpy()
    return LabeledImages(images, labels, data.class_names, data.names)
