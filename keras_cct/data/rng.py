"""Counter-based random numbers: a pure function of (seed, epoch, sample index, stream), computed for whole batches."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
KEY_PARITY = 0x1BD11BDA
DRAW_BITS = 24


def threefry(key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds: returns two random 32-bit words for every counter.

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
    """What the random numbers of a batch depend on, besides the stream.

    Args:
        seed: Seed of the run, in [0, 2**32).
        epoch: Scalar integer tensor, counted from 0.
        indices: Integer tensor of shape (batch,), the indices of the images in their dataset.
    """

    seed: int
    epoch: tf.Tensor
    indices: tf.Tensor


def uniform_draws(keys: SampleKeys, streams: tf.Tensor) -> tf.Tensor:
    """Returns two uniform random numbers for every image and stream.

    Args:
        keys: Seed, epoch and indices of the images.
        streams: int32 tensor of shape (streams,) or (batch, streams). Different streams are independent.

    Returns:
        Float32 tensor of shape (batch, 2 * streams), multiples of 2**-24 in [0, 1).
    """
    words = _interleaved_words(keys, streams)  # (batch, 2 * streams)
    high_bits = tf.bitwise.right_shift(words, tf.constant(32 - DRAW_BITS, tf.uint32))
    return tf.cast(tf.cast(high_bits, tf.int32), tf.float32) * 2.0**-DRAW_BITS


def normal_draws(keys: SampleKeys, streams: tf.Tensor) -> tf.Tensor:
    """Returns four standard normal random numbers for every image and stream: faster than `to_normal`, but coarser.

    Args:
        keys: Seed, epoch and indices of the images.
        streams: int32 tensor of shape (streams,) or (batch, streams). Different streams are independent.

    Returns:
        Float32 tensor of shape (batch, 4 * streams). Every number is one of 2**16 equally likely values.
    """
    halves = tf.bitcast(_interleaved_words(keys, streams), tf.uint16)  # (batch, 2 * streams, 2)
    numbers = tf.reshape(halves, (-1, halves.shape[1:].num_elements()))  # (batch, 4 * streams)
    return tf.gather(tf.constant(normal_quantiles()), tf.cast(numbers, tf.int32))


@functools.cache
def normal_quantiles() -> np.ndarray:
    """Returns the quantiles of the standard normal distribution at the midpoints of 2**16 equal intervals, float32."""
    with tf.init_scope():  # eager values even while a graph is being traced
        midpoints = (tf.range(2**16, dtype=tf.float64) + 0.5) / 2**16
        return tf.cast(tf.math.ndtri(midpoints), tf.float32).numpy()


def _interleaved_words(keys: SampleKeys, streams: tf.Tensor) -> tf.Tensor:
    """Returns the two words of every image and stream, uint32 of shape (batch, 2 * streams)."""
    words = threefry(
        (tf.cast(keys.seed, tf.uint32), tf.cast(keys.epoch, tf.uint32)),
        (tf.cast(keys.indices, tf.uint32)[:, None], tf.cast(streams, tf.uint32)),
    )  # (batch, streams) each
    interleaved = tf.stack(words, axis=-1)  # (batch, streams, 2)
    return tf.reshape(interleaved, (-1, interleaved.shape[1:].num_elements()))


def draw_table(keys: SampleKeys, first_stream: int, num_draws: int) -> tf.Tensor:
    """Returns a row of uniform random numbers for every image.

    Args:
        keys: Seed, epoch and indices of the images.
        first_stream: First of the consecutive streams to draw from. Each gives two numbers.
        num_draws: Numbers per image.

    Returns:
        Float32 tensor of shape (batch, num_draws) in [0, 1).
    """
    num_streams = -(-num_draws // 2)
    return uniform_draws(keys, tf.range(first_stream, first_stream + num_streams))[:, :num_draws]


def to_normal(draws: tf.Tensor) -> tf.Tensor:
    """Turns uniform random numbers into standard normal ones with the inverse cumulative distribution function."""
    # In float32 the midpoint of the last step rounds to 1, whose quantile is infinite.
    return tf.math.ndtri(tf.minimum(draws + 2.0 ** -(DRAW_BITS + 1), 1.0 - 2.0**-DRAW_BITS))


def to_integer(draws: tf.Tensor, bound: tf.Tensor | int) -> tf.Tensor:
    """Turns uniform random numbers into int32 numbers in [0, bound); `bound` is an integer that broadcasts."""
    scaled = tf.cast(draws, tf.float64) * tf.cast(bound, tf.float64)  # float32 could round up to the bound
    return tf.cast(scaled, tf.int32)
