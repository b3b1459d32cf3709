import numpy as np
import pytest
from fixtures.arrays import to_numpy
from keras import ops

from keras_cct.layers.factorizations import eigen_decomposition, inverse_triangle, orthonormal_factor


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("columns", [1, 16, 33])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e15])
def test_the_orthonormal_factor_does_not_depend_on_the_scale(columns, scale):
    x = random(2, 40, columns)
    factor = to_numpy(orthonormal_factor(ops.convert_to_tensor(x * np.float32(scale))))
    np.testing.assert_allclose(factor, np.linalg.qr(x)[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["random", "low rank", "graded"])
@pytest.mark.parametrize("num_rows", [1, 4, 7, 32])
def test_eigen_decomposition_of_symmetric_matrices(num_rows, kind):
    x = random(2, 3, num_rows, num_rows)
    x += x.swapaxes(-1, -2)
    if kind == "low rank":
        x = x[..., :2] @ x[..., :2].swapaxes(-1, -2)
    elif kind == "graded":
        scales = np.logspace(0, -6, num_rows, dtype="float32")
        x = x * scales * scales[:, None]
    values, vectors = (to_numpy(result) for result in eigen_decomposition(ops.convert_to_tensor(x)))
    tolerance = 1e-5 * np.abs(values).max()
    np.testing.assert_allclose(values, np.linalg.eigvalsh(x), atol=tolerance)
    np.testing.assert_allclose(x @ vectors, vectors * values[..., None, :], atol=tolerance)
    identity = np.broadcast_to(np.eye(num_rows), x.shape)
    np.testing.assert_allclose(vectors.swapaxes(-1, -2) @ vectors, identity, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 0, 1e15])
def test_eigen_decomposition_of_tiny_huge_and_zero_matrices(scale):
    x = (np.diag([3.0, 1.0, 2.0]) + 0.5) * scale
    values, vectors = (to_numpy(result) for result in eigen_decomposition(ops.convert_to_tensor(x, "float32")))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(x), rtol=1e-5, atol=0)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("num_rows", [1, 5, 16])
def test_inverse_triangle(num_rows):
    x = random(2, num_rows, num_rows) / 4 + 2 * np.eye(num_rows, dtype="float32")
    expected = np.linalg.inv(np.triu(x))
    np.testing.assert_allclose(to_numpy(inverse_triangle(ops.convert_to_tensor(x))), expected, atol=1e-5)
