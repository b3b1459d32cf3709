"""Initial values of the weights, as in the reference implementation."""

import keras
import numpy as np

from keras_cct.layers.shapes import Tensor, ops


def kaiming_normal() -> keras.initializers.Initializer:
    """Returns PyTorch's Kaiming normal distribution over the fan-in, not truncated as Keras's `HeNormal` is."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_in", distribution="untruncated_normal")


def normal(stddev: float) -> keras.initializers.Initializer:
    """Returns PyTorch's truncated normal distribution.

    PyTorch truncates at -2 and 2, at least ten standard deviations away here, where Keras's `TruncatedNormal` truncates
    at two standard deviations and thereby loses an eighth of the spread.
    """
    return keras.initializers.RandomNormal(stddev=stddev)


def sine_embedding(num_tokens: int, dim: int) -> np.ndarray:
    """Returns the fixed position embedding: sine in even columns, cosine in odd ones.

    Args:
        num_tokens: Number of positions, including that of a class token.
        dim: Width of the tokens.

    Returns:
        Float32 array of shape (1, num_tokens, dim).

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    columns = np.arange(dim)
    angles = np.arange(num_tokens)[:, None] / 10000 ** (2 * (columns // 2) / dim)  # (tokens, dim)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))[None].astype("float32")


def sine(shape: tuple[int, int, int], dtype: str | None = None) -> Tensor:
    """Initializes a weight of shape (1, tokens, dim) with `sine_embedding`."""
    _, num_tokens, dim = shape
    return ops.convert_to_tensor(sine_embedding(num_tokens, dim), dtype=dtype)
