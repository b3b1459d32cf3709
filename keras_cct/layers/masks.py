"""Random masks for dropout, from a few integer operations per value."""

import functools
import operator
from typing import Any

import keras

from keras_cct.layers.shapes import Tensor, ops


def dropout_key(generator: keras.random.SeedGenerator) -> Tensor:
    """Draws the key of one mask: a uint32 tensor of shape (2,)."""
    return ops.cast(generator.next(), "uint32")


def keep_mask(shape: tuple[Any, ...], rate: float, key: Tensor) -> Any:
    """Returns a mask that is false with probability `rate`, exact to 2**-32.

    The decision for a value is a hash of its index and the key, so that compilers make the mask where it is used: it is
    never stored, and the backward pass makes it again.

    Args:
        shape: Shape of the mask.
        rate: Probability of false, in [0, 1).
        key: Uint32 tensor of shape (2,); another key gives another mask.

    Returns:
        Boolean tensor.

    Reference: the constants are those of Wellons 2018, https://nullprogram.com/blog/2018/07/31/.
    """
    index: Any = ops.cast(ops.arange(functools.reduce(operator.mul, shape)), "uint32")
    x = _mix(_mix(index * _uint32(0x9E3779B9) ^ _mix(key[0] + _uint32(0x85EBCA6B))) + _mix(key[1]))
    return ops.reshape(x >= _uint32(round(rate * 2**32)), shape)


def _mix(x: Any) -> Any:
    x = (x ^ ops.right_shift(x, _uint32(16))) * _uint32(0x7FEB352D)
    x = (x ^ ops.right_shift(x, _uint32(15))) * _uint32(0x846CA68B)
    return x ^ ops.right_shift(x, _uint32(16))


def _uint32(value: int) -> Any:
    return ops.convert_to_tensor(value, dtype="uint32")
