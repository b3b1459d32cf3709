import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.gradients import gradient_of
from keras import ops

from keras_cct import InputError, ObservabilityTokens
from keras_cct.layers.grassmann import observability_matrix


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def observability_by_numpy(token: np.ndarray, num_signals: int, num_blocks: int) -> np.ndarray:
    """The formula with the singular value decomposition, for one token."""
    signals = token.astype("float64").reshape(-1, num_signals).T[:, ::-1]
    centered = signals - signals.mean(axis=1, keepdims=True)
    c, s, v = np.linalg.svd(centered, full_matrices=False)
    signs = np.sign(np.take_along_axis(c, np.abs(c).argmax(0, keepdims=True), 0))
    c, z = c * signs, signs.T * s[:, None] * v
    z1, z2 = z[:, :-1], z[:, 1:]
    ca = c @ (z2 @ z1.T @ np.linalg.pinv(z1 @ z1.T))
    return np.concatenate([c, ca, *(ca**power for power in range(1, num_blocks - 1))], axis=1).ravel()


@pytest.mark.parametrize(("num_signals", "num_blocks"), [(4, 4), (8, 3), (2, 2)])
def test_tokens_equal_their_formula(num_signals, num_blocks):
    layer, x = ObservabilityTokens(num_signals, num_blocks), random(2, 3, 128)
    layer.build(x.shape)
    normalized = to_numpy(layer.norm(ops.convert_to_tensor(x)))
    features = [[observability_by_numpy(token, num_signals, num_blocks) for token in image] for image in normalized]
    expected = np.array(features) @ to_numpy(layer.projection.kernel)
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-4)


def test_observability_does_not_depend_on_the_scale_of_the_signals():
    signals = random(3, 4, 16)
    small, large = (to_numpy(observability_matrix(ops.convert_to_tensor(signals * scale), 3)) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "x",
    [np.zeros((2, 3, 32), "float32"), np.ones((2, 3, 32), "float32"), np.repeat(random(2, 3, 8), 4, axis=-1)],
    ids=["zero", "constant", "repeated"],
)
def test_degenerate_tokens_have_finite_gradients(x):
    layer = ObservabilityTokens(4, 4)
    layer.build(x.shape)
    assert np.isfinite(to_numpy(layer(x))).all()
    assert np.isfinite(gradient_of(lambda value: ops.square(layer(value)), x)).all()


def test_half_precision_factorizes_in_float32():
    output = to_numpy(ops.cast(ObservabilityTokens(4, 4, dtype="mixed_bfloat16")(random(2, 3, 32)), "float32"))
    assert np.isfinite(output).all()


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="num_signals=5 does not divide .* 8"):
        ObservabilityTokens(5)(random(1, 3, 8))
    with pytest.raises(InputError, match="num_blocks must be at least 2, got 1"):
        ObservabilityTokens(4, 1)
