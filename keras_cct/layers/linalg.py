"""Matrix factorizations whose gradients stay finite where the textbook formulas divide by zero.

The gradients are exact for matrices of full rank with distinct eigenvalues. Terms that divide by a pivot or by a
difference of eigenvalues that is zero up to rounding are dropped, because no direction is defined there.
"""

from typing import Any

import keras
import numpy as np

from keras_cct.layers.factorizations import eigen_decomposition, inverse_triangle, orthonormal_factor
from keras_cct.layers.shapes import Tensor, ops, transposed

_HUGE = 1e30

SUPPORTS_JIT = keras.backend.backend() != "tensorflow"
"""Whether to compile layers with factorizations: on TensorFlow, XLA would replace the kernels with slow loops."""


@ops.custom_gradient
def orthonormal_basis(x: Tensor) -> Any:
    """Returns the orthonormal factor of the reduced QR decomposition.

    The signs are those of LAPACK's `geqrf`: the diagonal of R is not made positive.

    Args:
        x: Float32 or float64 tensor of shape (..., rows, columns) with at least as many rows as columns.

    Returns:
        Float32 or float64 tensor of the same shape.
    """
    basis = orthonormal_factor(x)

    def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
        upstream = upstream_gradient(arguments, upstream)
        product = ops.matmul(transposed(upstream), basis)  # (..., columns, columns)
        # On TensorFlow, multiplication by a mask is several times faster than `tril`.
        lower = ops.convert_to_tensor(np.tri(x.shape[-1]), dtype=x.dtype)
        symmetric = product * lower + transposed(product) * (1 - lower)
        projected = upstream - ops.matmul(basis, symmetric)  # (..., rows, columns)
        triangle = ops.matmul(transposed(basis), x)  # (..., columns, columns)
        inverse = _inverse_triangle(triangle, max(x.shape[-2:]))
        return ops.matmul(projected, transposed(inverse))

    return basis, gradient


@ops.custom_gradient
def eigenvectors(x: Tensor) -> Any:
    """Returns the eigenvectors of symmetric matrices, sorted by descending eigenvalues.

    The sign of each eigenvector is such that its entry of largest magnitude is positive.

    Args:
        x: Float32 or float64 tensor of shape (..., n, n).

    Returns:
        Float32 or float64 tensor of shape (..., n, n), one eigenvector per column.
    """
    values, vectors = eigen_decomposition(x)
    values, vectors = ops.flip(values, -1), ops.flip(vectors, -1)
    extremes = ops.max(vectors, axis=-2, keepdims=True) + ops.min(vectors, axis=-2, keepdims=True)
    vectors = ops.where(extremes < 0, -vectors, vectors)

    def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
        gaps = values[..., None, :] - values[..., :, None]  # (..., n, n)
        largest = ops.max(ops.abs(values), axis=-1)[..., None, None]
        rotation = ops.matmul(transposed(vectors), upstream_gradient(arguments, upstream))
        rotation = rotation * _safe_reciprocal(gaps, _zero_limit(largest, x.shape[-1]))
        return _symmetric(ops.matmul(ops.matmul(vectors, rotation), transposed(vectors)))

    return vectors, gradient


@ops.custom_gradient
def pseudo_inverse(x: Tensor) -> Any:
    """Returns the pseudo-inverses of symmetric positive semi-definite matrices.

    Eigenvalues of at most n times the machine epsilon times the largest one count as zero, as in `torch.linalg.pinv`.

    Args:
        x: Float32 or float64 tensor of shape (..., n, n).

    Returns:
        Float32 or float64 tensor of shape (..., n, n), with the gradient of the inverse.
    """
    values, vectors = eigen_decomposition(x)
    largest = ops.max(ops.abs(values), axis=-1, keepdims=True)
    reciprocals = _safe_reciprocal(values, _zero_limit(largest, x.shape[-1]))
    inverse = ops.matmul(vectors * reciprocals[..., None, :], transposed(vectors))

    def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
        return -ops.matmul(ops.matmul(inverse, _symmetric(upstream_gradient(arguments, upstream))), inverse)

    return inverse, gradient


def in_full_precision(x: Tensor) -> Tensor:
    """Casts float16 and bfloat16 tensors to float32, because the factorizations do not support them."""
    return x if keras.backend.standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")


def upstream_gradient(arguments: tuple[Tensor, ...], upstream: Tensor | None) -> Tensor:
    """Returns the upstream gradient, which Keras passes by name on PyTorch and by position on the other backends."""
    return arguments[0] if upstream is None else upstream


def _inverse_triangle(x: Tensor, size: int) -> Tensor:
    """Returns the inverses of upper triangular matrices; rows and columns of zero pivots become zero up to rounding."""
    diagonal = ops.eye(x.shape[-1], dtype=x.dtype)
    pivots = ops.max(ops.abs(x * diagonal), axis=-1, keepdims=True)  # (..., columns, 1)
    is_zero = pivots <= _zero_limit(ops.max(pivots, axis=-2, keepdims=True), size)
    x = x + diagonal * (ops.cast(is_zero, x.dtype) * _HUGE)
    return inverse_triangle(x)


def _zero_limit(largest: Tensor, size: int) -> Tensor:
    """Returns the limit below which a pivot or eigenvalue of a matrix of this size is zero up to rounding."""
    return ops.multiply(largest, size * float(np.finfo(keras.backend.standardize_dtype(largest.dtype)).eps))


def _safe_reciprocal(x: Tensor, limit: Tensor) -> Tensor:
    is_safe = ops.abs(x) > limit
    return ops.where(is_safe, 1 / ops.where(is_safe, x, 1.0), 0.0)


def _symmetric(x: Tensor) -> Tensor:
    return ops.add(x, transposed(x)) / 2
