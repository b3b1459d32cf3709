import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.gradients import gradient_of
from keras import ops

from keras_cct.layers.linalg import eigenvectors, orthonormal_basis, pseudo_inverse


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def positive(*shape: int) -> np.ndarray:
    x = random(*shape)
    return x @ x.swapaxes(-1, -2)


def numeric_gradient(function, x: np.ndarray) -> np.ndarray:
    """Central differences, for functions of numpy in float64."""
    x, gradient = x.astype("float64"), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-6
        gradient[index] = (function(x + step).sum() - function(x - step).sum()) / 2e-6
    return gradient


def eigenvectors_by_numpy(x: np.ndarray) -> np.ndarray:
    vectors = np.linalg.eigh((x + x.swapaxes(-1, -2)) / 2)[1][..., ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(-2, keepdims=True), -2)
    return vectors * np.sign(largest)


@pytest.mark.parametrize("shape", [(3, 9, 5), (3, 6, 6), (3, 90, 40), (3, 48, 48)])
def test_basis_has_the_signs_of_lapack(shape):
    x = random(*shape)
    np.testing.assert_allclose(to_numpy(orthonormal_basis(ops.convert_to_tensor(x))), np.linalg.qr(x)[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 7, 4), (2, 5, 5)])
def test_gradient_of_the_basis(shape):
    x, weights = random(*shape), random(*shape[::-1]).T
    expected = numeric_gradient(lambda value: np.linalg.qr(value)[0] * weights, x)
    np.testing.assert_allclose(
        gradient_of(lambda value: ops.multiply(orthonormal_basis(value), weights), x), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("x", [np.zeros((40, 36)), np.ones((40, 36)), np.eye(40, 36)], ids=["zero", "one", "identity"])
def test_degenerate_matrices_of_many_columns_have_a_basis_in_a_batch_with_regular_ones(x):
    x = np.stack([random(40, 36), x]).astype("float32")
    basis = to_numpy(orthonormal_basis(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(basis[0], np.linalg.qr(x[0])[0], atol=1e-5)
    np.testing.assert_allclose(basis[1].T @ basis[1], np.eye(36), atol=1e-5)
    gradient = gradient_of(lambda value: ops.multiply(orthonormal_basis(value), random(40, 36)), x)
    assert np.isfinite(gradient).all()


def test_eigenvectors_are_sorted_by_descending_eigenvalues_and_their_largest_entry_is_positive():
    x = positive(4, 5, 8)
    np.testing.assert_allclose(to_numpy(eigenvectors(ops.convert_to_tensor(x))), eigenvectors_by_numpy(x), atol=1e-4)


def test_gradient_of_the_eigenvectors():
    x, weights = positive(2, 4, 8), random(4, 4)
    expected = numeric_gradient(lambda value: eigenvectors_by_numpy(value) * weights, x)
    np.testing.assert_allclose(
        gradient_of(lambda value: ops.multiply(eigenvectors(value), weights), x), expected, rtol=1e-3, atol=1e-3
    )


def test_pseudo_inverse_drops_eigenvalues_that_are_zero_up_to_rounding():
    low_rank = random(3, 6, 2)
    for x in (positive(3, 6, 9), low_rank @ low_rank.swapaxes(-1, -2), np.zeros((3, 6, 6), "float32")):
        expected = np.linalg.pinv(x, rcond=6 * np.finfo("float32").eps, hermitian=True)
        np.testing.assert_allclose(to_numpy(pseudo_inverse(ops.convert_to_tensor(x))), expected, rtol=1e-3, atol=1e-4)


def test_gradient_of_the_pseudo_inverse():
    x, weights = positive(2, 4, 8), random(4, 4)
    weights = weights + weights.T
    expected = numeric_gradient(lambda value: np.linalg.pinv(value) * weights, x)
    np.testing.assert_allclose(
        gradient_of(lambda value: ops.multiply(pseudo_inverse(value), weights), x), expected, rtol=1e-2, atol=1e-3
    )


DEGENERATE = {
    "zero": np.zeros((2, 6, 6), "float32"),
    "constant": np.ones((2, 6, 6), "float32"),
    "repeated": np.repeat(positive(2, 1, 3), 6, axis=1).repeat(6, axis=2),
    "equal eigenvalues": np.broadcast_to(np.eye(6, dtype="float32"), (2, 6, 6)).copy(),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("function", [orthonormal_basis, eigenvectors, pseudo_inverse])
def test_gradients_stay_finite(function, name):
    gradient = gradient_of(lambda value: ops.multiply(function(value), random(6, 6)), DEGENERATE[name])
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 1e4


@pytest.mark.tensorflow
def test_the_gradient_of_a_float64_basis_is_float64():
    gradient = gradient_of(
        lambda x: ops.square(orthonormal_basis(x)) * np.arange(4.0), random(2, 6, 4).astype("float64")
    )
    assert gradient.dtype == "float64"
    assert np.isfinite(gradient).all()
