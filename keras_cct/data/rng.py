"""Random numbers that depend on (seed, epoch, index of the image) only, for a whole batch at once."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
KEY_PARITY = 0x1BD11BDA
DRAW_BITS = 24


def threefry(key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds: two random words for every counter.

    Args:
        key: Two scalar uint32 tensors.
        counter: Two uint32 tensors of shapes that broadcast.

    Returns:
        Two uint32 tensors of the broadcast shape.

    Reference: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    keys = (*key, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(key[0], key[1]), tf.constant(KEY_PARITY, tf.uint32)))
    left, right = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            left = left + right
            right = tf.bitwise.bitwise_xor(_rotate_bits(right, distance), left)
        left = left + keys[(group + 1) % 3]
        right = right + (keys[(group + 2) % 3] + tf.constant(group + 1, tf.uint32))
    return left, right


def _rotate_bits(words: tf.Tensor, distance: int) -> tf.Tensor:
    high = tf.bitwise.left_shift(words, tf.constant(distance, tf.uint32))
    low = tf.bitwise.right_shift(words, tf.constant(32 - distance, tf.uint32))
    return tf.bitwise.bitwise_or(high, low)


@dataclasses.dataclass(frozen=True)
class SampleKeys:
    """All that the random numbers of a batch depend on.

    Args:
        seed: Seed of the run, 0 to below 2**32.
        epoch: Scalar integer tensor, from 0.
        indices: Integer tensor of shape (batch,), the images' indices in their data set.
    """

    seed: int
    epoch: tf.Tensor
    indices: tf.Tensor


def uniform_draws(keys: SampleKeys, places: tf.Tensor) -> tf.Tensor:
    """Returns two uniform random numbers for every image and place.

    Args:
        keys: The batch.
        places: int32 tensor of shape (places,) or (batch, places): what the numbers are for.

    Returns:
        Float32 tensor of shape (batch, 2 * places), multiples of 2**-24 from 0 to below 1.
    """
    words = tf.stack(_words(keys, places), axis=-1)  # (batch, places, 2)
    words = tf.reshape(words, (-1, 2 * places.shape[-1]))  # (batch, draws)
    high_bits = tf.bitwise.right_shift(words, tf.constant(32 - DRAW_BITS, tf.uint32))
    return tf.cast(tf.cast(high_bits, tf.int32), tf.float32) * 2.0**-DRAW_BITS


def normal_draws(keys: SampleKeys, places: tf.Tensor) -> tf.Tensor:
    """Returns four standard normal random numbers for every image and place: faster than `to_normal`, but coarser.

    Args:
        keys: The batch.
        places: int32 tensor of shape (places,) or (batch, places): what the numbers are for.

    Returns:
        Float32 tensor of shape (batch, 4 * places), each number one of 2**16 that are equally likely.
    """
    words = tf.stack(_words(keys, places), axis=-1)  # (batch, places, 2)
    numbers = tf.reshape(tf.bitcast(words, tf.uint16), (-1, 4 * places.shape[-1]))  # (batch, draws)
    return tf.gather(tf.constant(normal_quantiles()), tf.cast(numbers, tf.int32))


@functools.cache
def normal_quantiles() -> np.ndarray:
    """Returns the quantiles of the standard normal distribution at the middles of 2**16 equal parts, float32."""
    with tf.init_scope():  # numbers also where a graph is built
        middles = (tf.range(2**16, dtype=tf.float64) + 0.5) / 2**16
        return tf.cast(tf.math.ndtri(middles), tf.float32).numpy()


def _words(keys: SampleKeys, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return threefry(
        (tf.cast(keys.seed, tf.uint32), tf.cast(keys.epoch, tf.uint32)),
        (tf.cast(keys.indices, tf.uint32)[:, None], tf.cast(places, tf.uint32)),
    )  # (batch, places) each


def draw_table(keys: SampleKeys, first_place: int, num_draws: int) -> tf.Tensor:
    """Returns a row of uniform random numbers for every image.

    Args:
        keys: The batch.
        first_place: First of the places that the row takes up, two numbers to a place.
        num_draws: Numbers per image.

    Returns:
        Float32 tensor of shape (batch, num_draws) from 0 to below 1.
    """
    num_places = -(-num_draws // 2)
    return uniform_draws(keys, tf.range(first_place, first_place + num_places))[:, :num_draws]


def to_normal(draws: tf.Tensor) -> tf.Tensor:
    """Turns uniform into standard normal random numbers through the inverse distribution function."""
    # Float32 would round the middle of the last step to 1, which is infinitely far out.
    return tf.math.ndtri(tf.minimum(draws + 2.0 ** -(DRAW_BITS + 1), 1.0 - 2.0**-DRAW_BITS))


def to_integer(draws: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
    """Turns uniform random numbers into integers from 0 to below `bound`, an integer tensor that broadcasts."""
    scaled = tf.cast(draws, tf.float64) * tf.cast(bound, tf.float64)  # float32 could round up to the bound
    return tf.cast(scaled, tf.int32)
