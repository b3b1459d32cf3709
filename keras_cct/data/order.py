"""The order of the images in an epoch."""

import tensorflow as tf


def shuffled_indices(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the numbers from 0 to below `count` in an order that depends on seed and epoch only, int32."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch])
