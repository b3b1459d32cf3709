"""Element-wise parts of a training step, each compiled by XLA to few passes over its tensors, on TensorFlow and a CPU.

TensorFlow runs such a part as a dozen operations, each of which reads and writes a whole tensor. Here the forward pass
keeps only tensors that exist anyway, and the backward pass computes the others again. Half-precision tensors are
computed in float32 between reading and writing. Matrix products stay outside, because oneDNN's are faster than XLA's.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_cct.layers.masks import keep_mask

TFTensor = Any


def can_compile() -> bool:
    """Returns whether this build of TensorFlow can compile functions, and computes on the CPU."""
    return tf.test.is_built_with_xla() and not tf.config.get_visible_devices("GPU")


def _compiled(function: Callable) -> Callable:
    return tf.function(function, jit_compile=True, autograph=False)


@tf.custom_gradient
def gelu(x: TFTensor) -> tuple[TFTensor, Callable]:
    """Returns the exact GELU of a float tensor of any shape."""
    return _gelu(x), lambda upstream: _gelu_gradient(x, upstream)


@_compiled
def _gelu(x: TFTensor) -> TFTensor:
    wide = _widen(x)
    return tf.cast(wide * _normal_cdf(wide), x.dtype)


@_compiled
def _gelu_gradient(x: TFTensor, upstream: TFTensor) -> TFTensor:
    wide = _widen(x)
    density = tf.exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)
    return tf.cast(_widen(upstream) * (_normal_cdf(wide) + wide * density), x.dtype)


def _normal_cdf(x: TFTensor) -> TFTensor:
    # XLA's erf ends one rounding error above -1, and the GELU multiplies that error by x.
    return tf.where(x < -5.5, tf.zeros((), x.dtype), 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5))))


def dropout(x: TFTensor, rate: float, key: TFTensor) -> TFTensor:
    """Returns the values of x in `keep_mask(x.shape, rate, key)`, divided by 1 - rate, and zeros."""

    @tf.custom_gradient
    def drop(x: TFTensor) -> tuple[TFTensor, Callable]:
        return _drop(x, rate, key), lambda upstream: _drop(upstream, rate, key)

    return drop(x)


@_compiled
def _drop(x: TFTensor, rate: float, key: TFTensor) -> TFTensor:
    return tf.cast(_dropped(_widen(x), rate, key), x.dtype)


def _dropped(x: TFTensor, rate: float, key: TFTensor) -> TFTensor:
    return tf.where(keep_mask(tuple(tf.unstack(tf.shape(x))), rate, key), x / (1 - rate), tf.zeros((), x.dtype))


def softmax_with_dropout(scores: TFTensor, rate: float, key: TFTensor) -> TFTensor:
    """Returns `dropout` of the softmax over the last axis of a float tensor."""

    @tf.custom_gradient
    def softmax_drop(scores: TFTensor) -> tuple[TFTensor, Callable]:
        weights = tf.nn.softmax(scores)
        return _drop(weights, rate, key), lambda upstream: _softmax_gradient(weights, upstream, rate, key)

    return softmax_drop(scores)


@_compiled
def _softmax_gradient(weights: TFTensor, upstream: TFTensor, rate: float, key: TFTensor) -> TFTensor:
    wide = _widen(weights)
    products = _dropped(_widen(upstream), rate, key) * wide
    return tf.cast(products - wide * tf.reduce_sum(products, axis=-1, keepdims=True), weights.dtype)


def layer_normalization(x: TFTensor, gain: TFTensor, bias: TFTensor, epsilon: float) -> TFTensor:
    """Returns the layer normalization over the last axis.

    Args:
        x: Float tensor of shape (..., dim).
        gain: Float tensor or variable of shape (dim,).
        bias: Float tensor or variable of shape (dim,).
        epsilon: Number added to the variance.

    Returns:
        Tensor of the shape and dtype of x.
    """

    @tf.custom_gradient
    def normalize(x: TFTensor, gain: TFTensor, bias: TFTensor) -> tuple[TFTensor, Callable]:
        y, mean, scale = _normalize(x, gain, bias, epsilon)

        def gradient(upstream: TFTensor) -> tuple[TFTensor, TFTensor, TFTensor]:
            of_x, of_gains = _normalize_gradient(x, mean, scale, gain, upstream)
            axes = list(range(len(x.shape) - 1))
            # XLA's sums over the outer axes are slower than TensorFlow's.
            of_gain, of_bias = (tf.reduce_sum(values, axes) for values in (of_gains, _widen(upstream)))
            return of_x, tf.cast(of_gain, gain.dtype), tf.cast(of_bias, bias.dtype)

        return y, gradient

    return normalize(x, tf.convert_to_tensor(gain), tf.convert_to_tensor(bias))


@_compiled
def _normalize(x: TFTensor, gain: TFTensor, bias: TFTensor, epsilon: float) -> tuple[TFTensor, TFTensor, TFTensor]:
    wide = _widen(x)
    mean = tf.reduce_mean(wide, axis=-1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(wide - mean), axis=-1, keepdims=True) + epsilon)
    return tf.cast((wide - mean) * scale * _widen(gain) + _widen(bias), x.dtype), mean, scale


@_compiled
def _normalize_gradient(
    x: TFTensor, mean: TFTensor, scale: TFTensor, gain: TFTensor, upstream: TFTensor
) -> tuple[TFTensor, TFTensor]:
    normalized, upstream = (_widen(x) - mean) * scale, _widen(upstream)
    of_normalized = upstream * _widen(gain)
    of_mean = tf.reduce_mean(of_normalized, axis=-1, keepdims=True)
    of_scale = tf.reduce_mean(of_normalized * normalized, axis=-1, keepdims=True)
    return tf.cast(scale * (of_normalized - of_mean - normalized * of_scale), x.dtype), upstream * normalized


def _widen(x: TFTensor) -> TFTensor:
    return tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
