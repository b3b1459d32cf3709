"""ColorJitter: random brightness, contrast and saturation, in random order.

Reference: torchvision's ColorJitter on Pillow images, as timm 0.4.12 calls it.
"""

import itertools

import tensorflow as tf

from keras_cct.data.augment.batches import BatchOperation, apply_by_choice
from keras_cct.data.augment.pixels import brightness, color, contrast
from keras_cct.data.rng import to_integer

ADJUSTMENTS = (brightness, contrast, color)
ORDERS = tuple(itertools.permutations(range(len(ADJUSTMENTS))))
JITTER_DRAWS = 1 + len(ADJUSTMENTS)
"""Uniform random numbers per image: the order, and a factor for each adjustment."""


def jitter_colors(images: tf.Tensor, draws: tf.Tensor, strength: float) -> tf.Tensor:
    """Jitters brightness, contrast and saturation of every image.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels); 1 or 3 channels.
        draws: Float32 tensor of shape (batch, 4), uniform in [0, 1).
        strength: The factors are uniform in [max(0, 1 - strength), 1 + strength].

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    low, high = max(0.0, 1.0 - strength), 1.0 + strength
    factors = low + draws[:, 1:] * (high - low)  # (batch, adjustments)
    orders = tf.gather(tf.constant(ORDERS), to_integer(draws[:, 0], len(ORDERS)))  # (batch, adjustments)

    def bind(index: int) -> BatchOperation:
        return lambda chosen, rows: ADJUSTMENTS[index](chosen, tf.gather(factors[:, index], rows))

    operations = [bind(index) for index in range(len(ADJUSTMENTS))]
    for turn in range(len(ADJUSTMENTS)):
        images = apply_by_choice(images, orders[:, turn], operations)
    return images
