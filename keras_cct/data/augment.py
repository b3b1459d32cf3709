"""Augmentation of a batch of images from given random numbers, so that it depends on nothing else."""

import tensorflow as tf

NUM_DRAWS = 3
"""Random numbers per image that `crop_and_flip` takes."""


def crop_and_flip(images: tf.Tensor, draws: tf.Tensor, padding: int, flip_rate: float) -> tf.Tensor:
    """Pads each image with black, cuts its own size out at random, and mirrors some left to right.

    Args:
        images: Tensor of shape (batch, height, width, channels).
        draws: Float tensor of shape (batch, 3), uniform in 0..1: row offset, column offset, flip.
        padding: Pixels of padding on each side, the largest shift.
        flip_rate: Share of images to mirror, 0 to 1.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    height, width = images.shape[1:3]
    images = tf.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    offsets = tf.cast(draws[:, :2] * (2 * padding + 1), tf.int32)  # (batch, 2)
    rows = offsets[:, :1] + tf.range(height)  # (batch, height)
    columns = offsets[:, 1:] + tf.range(width)  # (batch, width)
    columns = tf.where(draws[:, 2:] < flip_rate, columns[:, ::-1], columns)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)
