"""Batches of images: static shapes, one value per image, and one operation per image."""

from collections.abc import Callable, Sequence
from typing import cast

import tensorflow as tf

BatchOperation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Function of the selected images and of their rows in the batch. Returns images of the same shape and dtype."""


def static_shape(tensor: tf.Tensor) -> tuple[int, ...]:
    """Returns the shape of a tensor; the dimensions that the caller uses must be static."""
    return cast("tuple[int, ...]", tuple(tensor.shape))


def per_image(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Reshapes one value per image, shape (batch,), to (batch, 1, 1, 1), which broadcasts with images."""
    return tf.cast(values, dtype)[:, None, None, None]


def apply_by_choice(images: tf.Tensor, choices: tf.Tensor, operations: Sequence[BatchOperation]) -> tf.Tensor:
    """Applies one operation, chosen per image, to each image.

    The images are grouped by operation, so that each operation runs once per batch.

    Args:
        images: Tensor of shape (batch, height, width, channels).
        choices: int32 tensor of shape (batch,), indices into `operations`.
        operations: The operations. An operation without images gets an empty batch.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    rows = tf.range(tf.shape(choices)[0])
    rows_by_operation = tf.dynamic_partition(rows, choices, len(operations))
    results = [
        operation(tf.ensure_shape(tf.gather(images, chosen), (None, *images.shape[1:])), chosen)
        for operation, chosen in zip(operations, rows_by_operation, strict=True)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(rows_by_operation, results), images.shape)
