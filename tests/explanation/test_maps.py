import contextlib

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.explained_models import MODELS, images, make_model
from fixtures.precision import float64

import keras_cct
from keras_cct.explanation import attention_rollout
from keras_cct.layers.manifold import ManifoldAttention


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def normalize(x: np.ndarray, gain, bias, axis=-1) -> np.ndarray:
    deviation = np.sqrt(x.var(axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis, keepdims=True)) / deviation * to_numpy(gain) + to_numpy(bias)


def layer_norm(x: np.ndarray, layer) -> np.ndarray:
    return normalize(x, layer.gamma, layer.beta)


def dense(x: np.ndarray, layer) -> np.ndarray:
    return x @ to_numpy(layer.kernel) + (to_numpy(layer.bias) if layer.use_bias else 0)


def covariance(x: np.ndarray) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    return centered @ centered.swapaxes(-1, -2) / (x.shape[-1] - 1)


def basis(x: np.ndarray) -> np.ndarray:
    return np.linalg.qr(x[..., : min(x.shape[-2:])])[0]


SIMILARITIES = {
    "euclidean": lambda q, k: q @ k.swapaxes(-1, -2),
    "spd": lambda q, k: np.abs(covariance(q) @ covariance(k)),
    "grassmann": lambda q, k: (basis(q) @ basis(k).swapaxes(-1, -2)) ** 2,
}


def attention_by_numpy(x: np.ndarray, layer) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Returns the output, the attention weights and the similarity maps."""
    batch, num_tokens, dim = x.shape
    qkv = dense(x, layer.query_key_value).reshape(batch, num_tokens, 3, layer.num_heads, -1)
    query, key, value = qkv.transpose(2, 0, 3, 1, 4)  # (batch, heads, tokens, head_dim)
    maps = {}
    if isinstance(layer, ManifoldAttention):
        for name, scale in zip(layer.manifolds, layer.scales, strict=True):
            maps[name] = to_numpy(scale) * SIMILARITIES[name](query, key)
        scores = np.concatenate(list(maps.values()), axis=1)
        if layer.map_normalization:
            scores = normalize(scores, layer.map_norm.gamma, layer.map_norm.beta, axis=(1, 2, 3))
        scores = np.einsum("bmij,mh->bhij", scores, to_numpy(layer.mix_kernel)[0, 0])
        weights = softmax(scores + to_numpy(layer.mix_bias)[:, None, None])
    elif isinstance(layer, keras_cct.GrassmannAttention):
        scores = basis(query) ** 2 @ (basis(key) ** 2).swapaxes(-1, -2)
        weights = normalize(scores, layer.map_norm.gamma, layer.map_norm.beta, axis=(1, 2, 3))
    else:
        weights = softmax(query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]))
    output = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, num_tokens, dim)
    return dense(output, layer.projection), weights, maps


def gelu(x: np.ndarray) -> np.ndarray:
    return to_numpy(keras.ops.gelu(x, approximate=False))


def explanation_by_numpy(model: keras.Model, pixels: np.ndarray):
    """Computes the blocks from their weights, starting at the tokens that enter the first, in float64."""
    x = to_numpy(keras.Model(model.input, model.get_layer("block_0").input)(pixels)).astype("float64")
    attention, manifolds = [], []
    rollout = np.stack([np.eye(x.shape[1])] * len(x))
    for index in range(2):
        block = model.get_layer(f"block_{index}")
        output, weights, maps = attention_by_numpy(layer_norm(x, block.attention_norm), block.attention)
        x = layer_norm(x + output, block.mlp_norm)
        x = x + dense(gelu(dense(x, block.mlp_in)), block.mlp_out)
        attention.append(weights)
        manifolds.append(maps)
        for sample, heads in enumerate(weights):
            positive = sum(np.abs(head) / np.abs(head).sum(1, keepdims=True) for head in heads) / len(heads)
            rollout[sample] = (0.5 * np.eye(len(positive)) + 0.5 * positive) @ rollout[sample]
    x = layer_norm(x, model.get_layer("norm"))
    rows, columns = model.get_layer("tokenizer").token_grid(model.input_shape)
    if "class_token" in [layer.name for layer in model.layers]:
        heads = np.abs(attention[-1]) / np.abs(attention[-1]).sum(-1, keepdims=True)
        pooling, contributions = heads.mean(1)[:, 0, 1:], rollout[:, 0, 1:]
    else:
        pooling = softmax(dense(x, model.get_layer("sequence_pool").score)[..., 0])
        contributions = np.stack([weights @ matrix for weights, matrix in zip(pooling, rollout, strict=True)])
    maps = (values / values.sum(1, keepdims=True) for values in (pooling, contributions))
    return attention, manifolds, *(values.reshape(-1, rows, columns) for values in maps)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "vit" else pytest.mark.one_backend) for name in MODELS]
)
def test_maps_equal_their_statement_in_numpy_on_every_backend(name):
    # Each block with factorizations amplifies rounding errors, so these models are compared in float64.
    with float64() if name in ("all", "gm", "grassmann") else contextlib.nullcontext():
        model = make_model(name)
        pixels = images(model)
        found = keras_cct.explain(model, pixels, batch_size=2)
        attention, manifolds, pooling, rollout = explanation_by_numpy(model, pixels)
    assert found.pooling.std() > 1e-4
    for block in range(2):
        np.testing.assert_allclose(found.attention[block], attention[block], atol=1e-5)
        assert list(found.manifolds[block]) == list(manifolds[block])
        for manifold, maps in found.manifolds[block].items():
            expected = manifolds[block][manifold]  # not bounded by 1, as the others are
            np.testing.assert_allclose(maps, expected, atol=1e-5 * expected.max())
    np.testing.assert_allclose(found.pooling, pooling, atol=1e-5)
    np.testing.assert_allclose(found.rollout, rollout, atol=1e-5)
    check_sums(found, is_softmax=name != "grassmann")
    assert found.num_class_tokens == (1 if name in ("vit", "all", "grassmann") else 0)


def check_sums(found: keras_cct.Explanation, is_softmax: bool) -> None:
    """Checks that the maps and, after a softmax, the rows of the attention sum to 1."""
    for weights in found.attention:
        if is_softmax:
            np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(attention_rollout(found.attention).sum(axis=-1), 1, atol=1e-5)
    for maps in (found.pooling, found.rollout):
        assert (maps >= 0).all()
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, atol=1e-5)


@pytest.mark.one_backend
def test_maps_of_heads_are_the_attention_that_patches_receive():
    model = make_model("all")
    found = keras_cct.explain(model, images(model))
    heads = found.head_maps()
    assert heads.shape == (3, 2, 2, 6, 4)
    np.testing.assert_array_equal(heads[2, 1, 0, 3, 2], found.attention[1][2, 0, 0, 1 + 3 * 4 + 2])
    np.testing.assert_array_equal(
        found.head_maps("spd")[2, 1, 0, 3, 2], found.manifolds[1]["spd"][2, 0, 0, 1 + 3 * 4 + 2]
    )
    model = make_model("cvt")
    found = keras_cct.explain(model, images(model))
    np.testing.assert_allclose(found.head_maps().sum(axis=(-2, -1)), 1, atol=1e-5)
    with pytest.raises(keras_cct.InputError, match="manifold='spd' is not part of this attention"):
        found.head_maps("spd")


def test_pooling_weights_are_those_of_the_feature_vector():
    model = make_model("cct")
    pixels = images(model)
    grid = to_numpy(keras_cct.features(model, ["norm"])(pixels)["norm"])
    pooled = np.einsum("brc,brcd->bd", keras_cct.explain(model, pixels).pooling, grid)
    np.testing.assert_allclose(pooled, to_numpy(keras_cct.features(model)(pixels)["pooled"]), atol=1e-5)
