import itertools

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.gradients import gradient_of
from keras import ops

from keras_cct import GrassmannAttention, InputError, ManifoldAttention
from keras_cct.layers.manifold import euclidean_scores, grassmann_scores, map_moments, spd_scores


def tokens(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def covariance(x: np.ndarray) -> np.ndarray:
    return np.stack([np.cov(matrix) for matrix in x])


def basis(x: np.ndarray) -> np.ndarray:
    return np.linalg.qr(x.astype("float64"))[0]


FORMULAS = {
    euclidean_scores: lambda q, k: q @ k.swapaxes(1, 2),
    spd_scores: lambda q, k: np.abs(covariance(q) @ covariance(k).swapaxes(1, 2)),
    grassmann_scores: lambda q, k: (basis(q) @ basis(k).swapaxes(1, 2)) ** 2,
}
DEGENERATE = {
    "zero": np.zeros((2, 6, 8), "float32"),
    "constant": np.full((2, 6, 8), 0.5, "float32"),
    "repeated": np.repeat(tokens(2, 2, 8), 3, axis=1),
}


def score(function, query: np.ndarray, key: np.ndarray) -> np.ndarray:
    return to_numpy(function(ops.convert_to_tensor(query), ops.convert_to_tensor(key)))


@pytest.mark.parametrize("shape", [(3, 9, 4), (3, 5, 5), (3, 4, 7)])
@pytest.mark.parametrize("function", FORMULAS)
def test_maps_equal_their_formula(function, shape):
    # The formula of the SPD map has two covariance matrices, which the layer never computes.
    query, key = tokens(*shape), tokens(*shape, seed=1)
    np.testing.assert_allclose(score(function, query, key), FORMULAS[function](query, key), rtol=1e-4, atol=1e-4)


def test_spd_map_ignores_a_constant_added_to_a_token():
    query, key = tokens(2, 6, 8), tokens(2, 6, 8, seed=1)
    shifted = score(spd_scores, query + tokens(2, 6, 1, seed=2), key + tokens(2, 6, 1, seed=3))
    np.testing.assert_allclose(shifted, score(spd_scores, query, key), atol=1e-4)


def manifold_attention_by_numpy(x: np.ndarray, layer: ManifoldAttention) -> np.ndarray:
    batch, num_tokens, _ = x.shape
    qkv = x @ to_numpy(layer.query_key_value.kernel) + to_numpy(layer.query_key_value.bias)
    qkv = qkv.reshape(batch, num_tokens, 3, layer.num_heads, -1).transpose(2, 3, 0, 1, 4)
    formulas = dict(zip(layer.MANIFOLDS, FORMULAS.values(), strict=True))
    maps = [
        to_numpy(scale) * formulas[name](query, key)
        for name, scale in zip(layer.manifolds, layer.scales, strict=True)
        for query, key in zip(qkv[0], qkv[1], strict=True)
    ]
    maps = np.stack(maps, axis=1)
    if layer.map_normalization:
        centered = maps - maps.mean((1, 2, 3), keepdims=True)
        maps = centered / np.sqrt(maps.var((1, 2, 3), keepdims=True) + 1e-5)
        maps = maps * to_numpy(layer.map_norm.gamma) + to_numpy(layer.map_norm.beta)
    scores = np.einsum("bmij,mh->bhij", maps, to_numpy(layer.mix_kernel)[0, 0])
    weights = np.exp(scores + to_numpy(layer.mix_bias)[:, None, None])
    weights /= weights.sum(-1, keepdims=True)
    output = np.einsum("bhij,hbjd->bihd", weights, qkv[2]).reshape(x.shape)
    return output @ to_numpy(layer.projection.kernel) + to_numpy(layer.projection.bias)


SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(ManifoldAttention.MANIFOLDS, size)]


@pytest.mark.parametrize("map_normalization", [True, False])
@pytest.mark.parametrize("manifolds", SUBSETS, ids="-".join)
def test_attention_equals_its_formula(manifolds, map_normalization):
    layer, x = ManifoldAttention(2, manifolds, map_normalization), tokens(2, 7, 8)
    layer.build(x.shape)
    for index, weight in enumerate(layer.weights):
        weight.assign(tokens(*weight.shape, seed=index))
    np.testing.assert_allclose(to_numpy(layer(x)), manifold_attention_by_numpy(x, layer), rtol=1e-3, atol=1e-3)


def test_maps_of_each_manifold_are_returned():
    layer, x = ManifoldAttention(2, ("spd", "euclidean")), tokens(2, 5, 8)
    layer.build(x.shape)
    query, key, _ = layer.split_heads(ops.convert_to_tensor(x))
    maps = layer.manifold_maps(ops.convert_to_tensor(x))
    assert list(maps) == ["euclidean", "spd"]
    expected = to_numpy(ops.matmul(query, ops.swapaxes(key, -1, -2))) * 0.5
    np.testing.assert_allclose(to_numpy(maps["euclidean"]), expected, atol=1e-6)


@pytest.mark.parametrize("layer", [ManifoldAttention, GrassmannAttention])
def test_attention_weights_are_returned(layer):
    layer, x = layer(2), tokens(2, 5, 8)
    output, weights = layer(x, return_attention_weights=True)
    np.testing.assert_allclose(to_numpy(output), to_numpy(layer(x)), atol=1e-6)
    assert weights.shape == (2, 2, 5, 5)


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("layer", [ManifoldAttention, GrassmannAttention])
def test_degenerate_tokens_have_finite_gradients(layer, name):
    layer, x = layer(2), DEGENERATE[name]
    layer.build(x.shape)
    assert np.isfinite(to_numpy(layer(x))).all()
    assert np.isfinite(gradient_of(lambda value: ops.square(layer(value)), x)).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("layer", [ManifoldAttention, GrassmannAttention])
def test_half_precision_factorizes_in_float32(layer, policy):
    output = layer(2, dtype=policy)(tokens(2, 5, 8))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert np.isfinite(to_numpy(ops.cast(output, "float32"))).all()


@pytest.mark.parametrize("layer", [ManifoldAttention, GrassmannAttention])
def test_another_number_of_tokens_is_refused(layer):
    layer = layer(2)
    layer(tokens(1, 5, 8))
    with pytest.raises(InputError, match="got 6 tokens, .* built for 5"):
        layer.call(ops.convert_to_tensor(tokens(1, 6, 8)))


def test_without_normalization_the_number_of_tokens_may_change():
    layer = ManifoldAttention(2, map_normalization=False)
    assert [layer(tokens(1, n, 8)).shape for n in (5, 6)] == [(1, 5, 8), (1, 6, 8)]


def test_the_variance_of_maps_survives_a_large_mean():
    maps = 300 + 0.1 * tokens(2, 3, 20, 20)
    mean, variance = to_numpy(map_moments(ops.convert_to_tensor(maps)))
    np.testing.assert_allclose(mean.ravel(), maps.mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance.ravel(), maps.astype("float64").var((1, 2, 3)), rtol=1e-2)


def test_a_head_dim_of_one_has_no_covariance():
    with pytest.raises(InputError, match="num_heads=8 gives head_dim=1"):
        ManifoldAttention(8).build((None, 5, 8))
    ManifoldAttention(8, ("euclidean", "grassmann")).build((None, 5, 8))


@pytest.mark.parametrize("manifolds", [(), "spd", ("spd", "sphere"), [["spd"]], 5])
def test_unknown_manifolds_are_refused(manifolds):
    with pytest.raises(InputError, match="manifolds=.* is unknown. Choose from euclidean, spd, grassmann"):
        ManifoldAttention(2, manifolds)


def test_grassmann_attention_equals_its_formula():
    layer, x = GrassmannAttention(2), tokens(2, 7, 8)
    layer.build(x.shape)
    layer.query_key_value.kernel.assign(tokens(8, 24))
    layer.map_norm.gamma.assign(tokens(2, 7, 7))
    query, key, value = map(to_numpy, layer.split_heads(ops.convert_to_tensor(x)))
    scores = np.einsum("bhic,bhjc->bhij", basis(query) ** 2, basis(key) ** 2)
    centered = scores - scores.mean((1, 2, 3), keepdims=True)
    weights = to_numpy(layer.map_norm.gamma) * centered / np.sqrt(scores.var((1, 2, 3), keepdims=True) + 1e-5)
    output = np.einsum("bhij,bhjd->bihd", weights, value).reshape(x.shape) @ to_numpy(layer.projection.kernel)
    np.testing.assert_allclose(to_numpy(layer(x)), output, atol=1e-3)
