"""Decoded datasets cached in memory, the fastest way to read them."""

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages
from keras_cct.data.survey import survey_files
from keras_cct.data.unreadable import raising_input_errors

log = logging.getLogger(__name__)

MAX_ENCODED_BYTES = 2**28
MAX_DECODED_BYTES = 2**30
BATCH_SIZE = 256


def cache_if_small(data: EncodedImages) -> ImageSet:
    """Caches the decoded images in memory if they fit and share one size; otherwise returns `data`.

    The limits are 256 MiB of encoded and 1 GiB of decoded images.

    Raises:
        InputError: Too many images cannot be read.
    """
    num_bytes = 0
    for size in map(len, data.contents) if data.contents is not None else map(_file_size, data.names):
        num_bytes += size
        if num_bytes > MAX_ENCODED_BYTES:
            return data
    survey = None if data.contents is not None else survey_files(data.names)  # known since the files were opened
    if survey is not None and len(np.unique(survey.sizes[survey.readable], axis=0)) > 1:
        return data
    with raising_input_errors(data):
        images = _decode_all(data)
    if images is None:
        return data
    height, width, channels = images.image_shape
    log.info("cached %d images of %dx%d pixels with %d channels in memory", len(images), height, width, channels)
    return images


def _file_size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.exists() else 0  # a dangling link counts as an unreadable image later


def _decode_all(data: EncodedImages) -> LabeledImages | None:
    """Returns all images, or None if they differ in size or exceed the limit."""
    first = data.read(tf.constant(0))[0].numpy()
    if len(data) * first.size > MAX_DECODED_BYTES:
        return None

    def read_with_first_shape(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index)
        has_shape = tf.reduce_all(tf.shape(image) == first.shape)
        image = tf.cond(has_shape, lambda: image, lambda: tf.zeros(first.shape, tf.uint8))
        return tf.ensure_shape(image, first.shape), label, has_shape

    images, labels = np.empty((len(data), *first.shape), "uint8"), np.empty(len(data), "int64")
    batches = data.in_order().map(read_with_first_shape, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE)
    for number, (batch, batch_labels, has_shape) in enumerate(batches.prefetch(tf.data.AUTOTUNE)):
        if not tf.reduce_all(has_shape):
            return None
        rows = slice(number * BATCH_SIZE, number * BATCH_SIZE + len(batch))
        images[rows], labels[rows] = batch.numpy(), batch_labels.numpy()
    return LabeledImages(images, labels, data.class_names, data.names)
