"""Factorizations of batches of matrices, without gradients.

On TensorFlow and PyTorch they use LAPACK's algorithms through Keras. On JAX they are reflections and rotations of the
whole batch at once, because the threads of LAPACK calls in JAX 0.10 on a CPU wait for tasks that need the same threads,
and may never return.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_cct.layers.shapes import Tensor, ops, transposed

_PANEL_WIDTH = 16
_NUM_SWEEPS = 16
"""Random, low-rank and graded matrices of 4 rows converge in 4 sweeps; of 32 rows in 12 in float32, 16 in float64."""

_Panel = tuple[Tensor, Tensor, Tensor, Any]


def orthonormal_factor(x: Tensor) -> Tensor:
    """Returns the orthonormal factor of `ops.qr`, of the shape of x."""
    backend = keras.backend.backend()
    if backend == "jax":
        return _compiled_by_jax(_orthonormal_factor_by_reflections)(x)
    if backend == "torch" or x.shape[-1] <= 2 * _PANEL_WIDTH:
        return ops.qr(x)[0]
    # TensorFlow's QR kernel is slow for many columns, as it does not use matrix products.
    basis, is_regular = _factor_by_panels(x, _panel_by_lapack)
    return ops.cond(is_regular, lambda: basis, lambda: ops.qr(x)[0])


def eigen_decomposition(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the eigenvalues of symmetric matrices in ascending order, and their eigenvectors.

    Args:
        x: Float32 or float64 tensor of shape (..., n, n).

    Returns:
        Eigenvalues of shape (..., n), and eigenvectors of shape (..., n, n), one per column.
    """
    if keras.backend.backend() == "jax":
        return _compiled_by_jax(_eigen_decomposition_by_rotations)(x)
    return ops.eigh(x)


def inverse_triangle(x: Tensor) -> Tensor:
    """Returns the inverses of upper triangular matrices whose diagonals have no zero.

    Args:
        x: Float32 or float64 tensor of shape (..., n, n); values below the diagonal are ignored.

    Returns:
        Float32 or float64 tensor of shape (..., n, n).
    """
    num_rows = x.shape[-1]
    identity = ops.eye(num_rows, dtype=x.dtype)
    if keras.backend.backend() != "jax":
        return ops.solve_triangular(x, ops.broadcast_to(identity, ops.shape(x)))
    # The inverse of blocks [[A, B], [0, C]] is [[A', -A'BC'], [0, C']]: the size of the inverted blocks doubles.
    inverse = identity / ops.where(identity > 0, x, 1)
    rows, columns = np.indices((num_rows, num_rows))
    size = 1
    while size < num_rows:
        is_corner = (rows // (2 * size) == columns // (2 * size)) & (rows // size < columns // size)
        corners = ops.where(is_corner, x, 0)
        inverse = inverse - ops.matmul(ops.matmul(inverse, corners), inverse)
        size *= 2
    return inverse


@functools.cache
def _compiled_by_jax(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Returns a function that is compiled once per shape, not in every call of a model outside of `jax.jit`."""
    import jax  # pyright: ignore[reportMissingImports] - optional

    return jax.jit(function)


def _orthonormal_factor_by_reflections(x: Tensor) -> Tensor:
    return _factor_by_panels(x, _panel_by_reflections)[0]


def _factor_by_panels(x: Tensor, factorize: Callable[[Tensor], _Panel]) -> tuple[Tensor, Any]:
    """Returns the factor Q of blocked Householder QR, and whether it is valid for all matrices.

    `factorize` takes a panel of columns, of shape (..., rows, width), and returns its orthonormal factor, V and M such
    that H = I + V M V^T makes the panel upper triangular, and whether V and M are valid.
    """
    rest: Any = x
    panels, is_regular = [], ops.convert_to_tensor(True)
    for _ in range(_PANEL_WIDTH, x.shape[-1], _PANEL_WIDTH):
        panel, rest = rest[..., :_PANEL_WIDTH], rest[..., _PANEL_WIDTH:]
        basis, reflectors, middle, is_panel_regular = factorize(panel)
        is_regular = ops.logical_and(is_regular, is_panel_regular)
        top, bottom = reflectors[..., :_PANEL_WIDTH, :], reflectors[..., _PANEL_WIDTH:, :]
        weights = ops.matmul(transposed(middle), ops.matmul(transposed(reflectors), rest))  # (..., width, columns left)
        rest = rest[..., _PANEL_WIDTH:, :] + ops.matmul(bottom, weights)
        panels.append((basis, top, bottom, middle))
    result, *_ = factorize(rest)
    for basis, top, bottom, middle in reversed(panels):
        weights = ops.matmul(middle, ops.matmul(transposed(bottom), result))
        result = ops.concatenate([ops.matmul(top, weights), result + ops.matmul(bottom, weights)], axis=-2)
        result = ops.concatenate([basis, result], axis=-1)  # (..., rows, columns so far)
    return result, is_regular


def _panel_by_lapack(panel: Tensor) -> _Panel:
    """Factorizes a panel with `ops.qr`, and takes the reflections from its orthonormal factor Q.

    With V = Q - E, where E holds the first columns of the identity, and V1, the square top of V, M is V1^-T.
    Householder's choice of signs makes every pivot of V1 at least 1 in magnitude, unless a column has only zeros left
    to reflect. Such panels, for example of constant tokens, are not regular.

    Reference: Ballard et al. 2014, "Reconstructing Householder vectors from tall-skinny QR", for the relation.
    """
    width = panel.shape[-1]
    basis, _ = ops.qr(panel)  # (..., rows, width)
    reflectors = basis - ops.eye(*basis.shape[-2:], dtype=panel.dtype)
    top = reflectors[..., :width, :]
    is_regular = ops.abs(ops.det(top)) > 0.5  # at least 1, or zero up to rounding
    # TensorFlow's inverse raises an error for a singular matrix.
    inverse = ops.inv(ops.where(is_regular[..., None, None], top, ops.eye(width, dtype=panel.dtype)))
    return basis, reflectors, transposed(inverse), ops.all(is_regular)


def _panel_by_reflections(panel: Tensor) -> _Panel:
    """Factorizes a panel by Householder reflections, one column after the other.

    Reference: Schreiber and Van Loan 1989, "A storage-efficient WY representation for products of Householder
    transformations"; M is -T there.
    """
    num_rows, width = panel.shape[-2:]
    rows, columns = ops.arange(num_rows), ops.arange(width)
    smallest = float(np.finfo(keras.backend.standardize_dtype(panel.dtype)).tiny)

    def reflect(column: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        rest, reflectors, middle = state
        is_column = ops.cast(ops.equal(columns, column), panel.dtype)  # (width,)
        is_pivot = ops.cast(ops.equal(rows, column), panel.dtype)  # (rows,)
        x = ops.sum(rest * is_column, axis=-1) * ops.cast(rows >= column, panel.dtype)  # (..., rows)
        largest = ops.max(ops.abs(x), axis=-1, keepdims=True)  # (..., 1)
        x = ops.where(largest > smallest, x / ops.maximum(largest, smallest), 0)  # its squares do not underflow
        pivot = ops.sum(x * is_pivot, axis=-1, keepdims=True)
        # As in LAPACK, a column whose entries below the pivot are zero is not reflected.
        is_reflected = ops.any(ops.not_equal(x * (1 - is_pivot), 0), axis=-1, keepdims=True)
        norm = ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), smallest)
        new_pivot = ops.where(pivot < 0, norm, -norm)
        reflector = (x - new_pivot * is_pivot) / (pivot - new_pivot)
        scale = ops.where(is_reflected, 1 - pivot / new_pivot, 0)  # H = I - scale * reflector * reflector^T
        products = ops.matmul(reflector[..., None, :], rest)  # (..., 1, width)
        rest = rest - (scale * reflector)[..., None] * products
        overlaps = ops.matmul(reflector[..., None, :], reflectors)[..., 0, :]  # (..., width)
        combined = ops.matmul(middle, overlaps[..., None])[..., 0] + is_column
        middle = middle - (scale * combined)[..., None] * is_column
        return rest, reflectors + reflector[..., None] * is_column, middle

    zeros = ops.zeros_like(panel)
    initial = (panel, zeros, zeros[..., :width, :])
    _, reflectors, middle = ops.fori_loop(0, width, reflect, initial)
    weights = ops.matmul(middle, transposed(reflectors[..., :width, :]))  # (..., width, width)
    basis = ops.eye(num_rows, width, dtype=panel.dtype) + ops.matmul(reflectors, weights)
    return basis, reflectors, middle, True


def _eigen_decomposition_by_rotations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Computes `eigen_decomposition` by Jacobi rotations of disjoint pairs of rows and columns at a time.

    The pairs change from step to step as in a tournament in which everyone meets everyone once in each sweep.

    Reference: Brent and Luk 1985, "The solution of singular-value and symmetric eigenvalue problems on multiprocessor
    arrays".
    """
    num_rows = x.shape[-1]
    half = (num_rows + 1) // 2
    largest = ops.max(ops.abs(x), axis=(-1, -2), keepdims=True)
    largest = ops.where(largest > 0, largest, 1)
    matrix = (x + transposed(x)) / (2 * largest)
    # An odd matrix gets another row and column of zeros, which no rotation changes.
    padding = [(0, 0)] * (len(x.shape) - 2) + [(0, num_rows % 2)] * 2
    matrix = ops.moveaxis(ops.pad(matrix, padding), (-2, -1), (0, 1))  # (2 * half, 2 * half, ...)
    identity = ops.reshape(ops.eye(2 * half, dtype=x.dtype), (2 * half, 2 * half) + (1,) * (len(x.shape) - 2))
    vectors = ops.broadcast_to(identity, ops.shape(matrix))  # one per row
    first, second = np.split(np.arange(2 * half), 2)
    order = np.concatenate([first[:1], second[:1], first[1:-1], second[1:], first[-1:]])[: 2 * half]

    def rotate_pairs(_: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        matrix, vectors = state
        diagonal = ops.moveaxis(ops.diagonal(matrix, axis1=0, axis2=1), -1, 0)  # (2 * half, ...)
        corner = ops.moveaxis(ops.diagonal(matrix, half, axis1=0, axis2=1), -1, 0)  # (half, ...)
        cosine, sine = _rotation(diagonal[:half], corner, diagonal[half:])

        def rotate(rows: Any) -> Tensor:
            upper, lower = rows[:half], rows[half:]
            pair = [cosine * upper - sine * lower, sine * upper + cosine * lower]
            return ops.take(ops.concatenate(pair), order, axis=0)

        return rotate(ops.swapaxes(rotate(matrix), 0, 1)), rotate(vectors)

    num_steps = _NUM_SWEEPS * (2 * half - 1)
    matrix, vectors = ops.fori_loop(0, num_steps, rotate_pairs, (matrix, vectors))
    values = ops.diagonal(matrix, axis1=0, axis2=1)[..., :num_rows] * largest[..., 0]  # (..., n)
    vectors = ops.moveaxis(vectors[:num_rows, :num_rows], (0, 1), (-1, -2))  # (..., n, n), one per column
    ascending = ops.argsort(values, axis=-1)
    values = ops.take_along_axis(values, ascending, axis=-1)
    return values, ops.take_along_axis(vectors, ascending[..., None, :], axis=-1)


def _rotation(first: Tensor, corner: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Returns cosines and sines of the rotations that make [[first, corner], [corner, second]] diagonal.

    The arguments have shape (half, ...), the results (half, 1, ...).
    """
    difference: Any = second - first
    scale = ops.abs(difference) + ops.sqrt(ops.square(difference) + 4 * ops.square(corner))
    tangent = 2 * ops.where(difference < 0, -corner, corner) / ops.where(scale > 0, scale, 1)
    cosine = ops.rsqrt(1 + ops.square(tangent))
    return cosine[:, None], (cosine * tangent)[:, None]
