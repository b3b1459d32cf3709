"""Weight initializers of the reference implementation."""

import keras
import numpy as np

from keras_cct.layers.shapes import Tensor, ops


def kaiming_normal() -> keras.initializers.Initializer:
    """Returns the equivalent of PyTorch's `kaiming_normal_`, which is not truncated, unlike Keras's `HeNormal`."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_in", distribution="untruncated_normal")


def normal(stddev: float) -> keras.initializers.Initializer:
    """Returns the equivalent of PyTorch's `trunc_normal_`: a normal distribution, in effect not truncated.

    PyTorch truncates at the values -2 and 2, which are at least ten standard deviations away here. Keras's
    `TruncatedNormal` truncates at two standard deviations, which reduces the standard deviation by an eighth.
    """
    return keras.initializers.RandomNormal(stddev=stddev)


def sine_embedding(num_tokens: int, dim: int) -> np.ndarray:
    """Returns the fixed position embedding: sine in even columns, cosine in odd ones.

    Args:
        num_tokens: Number of positions, including that of a class token.
        dim: Embedding dimension of the tokens.

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
