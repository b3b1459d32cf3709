"""Different operations for different images of one batch, each computed once."""

from collections.abc import Callable, Sequence

import tensorflow as tf

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def apply_by_choice(images: tf.Tensor, choices: tf.Tensor, operations: Sequence[Operation]) -> tf.Tensor:
    """Applies to every image the operation it chose.

    The images are sorted by operation, so that a batch costs one operation per image, however many there are.

    Args:
        images: Tensor of shape (batch, height, width, channels).
        choices: int32 tensor of shape (batch,), which of `operations`.
        operations: Functions of images and of their rows in the batch, by which they look up their arguments; each
            returns images of the shape and dtype it got, also of none.

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
