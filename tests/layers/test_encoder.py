import math

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import EncoderBlock, GrassmannAttention, ManifoldAttention, SelfAttention, StochasticDepth
from keras_cct.layers.encoder import gelu


def test_gelu_is_exact():
    x = np.linspace(-6, 6, 101).astype("float32")
    expected = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x]
    np.testing.assert_allclose(to_numpy(gelu(keras.ops.convert_to_tensor(x))), expected, atol=1e-6)


def test_stochastic_depth_drops_whole_samples():
    layer = StochasticDepth(0.25)
    output = to_numpy(layer(np.ones((4000, 3, 2), dtype="float32"), training=True))
    per_sample = output.reshape(4000, -1)
    assert (per_sample == per_sample[:, :1]).all()
    kept = per_sample[:, 0] > 0
    # 4,000 draws stray from the rate by 0.007 (one standard deviation).
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(per_sample[kept], 1 / 0.75, rtol=1e-6)


def test_stochastic_depth_is_the_identity_in_inference():
    x = np.ones((4, 3, 2), dtype="float32")
    np.testing.assert_array_equal(to_numpy(StochasticDepth(0.9)(x, training=False)), x)


def test_residual_connection_of_the_mlp_starts_from_the_normalized_tokens():
    block = EncoderBlock(num_heads=2, mlp_ratio=2.0)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    block.build(x.shape)
    for weight in (block.attention.projection.kernel, block.mlp_out.kernel):
        weight.assign(np.zeros(weight.shape))
    # Both branches return zeros, so the output is the normalized input.
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(to_numpy(block(x)), expected, atol=1e-5)


def test_block_returns_its_attention_weights():
    block = EncoderBlock(num_heads=2)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    tokens, weights = block(x, return_attention_weights=True)
    np.testing.assert_allclose(to_numpy(tokens), to_numpy(block(x)), atol=1e-6)
    np.testing.assert_allclose(to_numpy(weights).sum(-1), np.ones((2, 2, 5)), atol=1e-6)


RANDOM_LAYERS = {
    "stochastic_depth": lambda seed: StochasticDepth(0.5, seed=seed),
    "attention": lambda seed: SelfAttention(2, 0.5, 0.5, seed=seed),
    "manifold_attention": lambda seed: ManifoldAttention(2, ["euclidean"], True, 0.5, 0.5, seed=seed),
    "grassmann_attention": lambda seed: GrassmannAttention(2, 0.5, 0.5, seed=seed),
    "block": lambda seed: EncoderBlock(2, 2.0, 0.5, 0.5, 0.5, seed=seed),
}


@pytest.mark.parametrize("name", RANDOM_LAYERS)
def test_a_seed_fixes_the_draws_of_a_layer(name):
    x = np.random.default_rng(0).standard_normal((8, 5, 8)).astype("float32")

    def output(seed: int | None) -> np.ndarray:
        layer = RANDOM_LAYERS[name](seed)
        layer.build(x.shape)
        for index, weight in enumerate(layer.trainable_weights):
            weight.assign(np.random.default_rng(index).standard_normal(weight.shape))
        return to_numpy(layer(x, training=True))

    np.testing.assert_array_equal(output(3), output(3))
    assert (output(3) != output(4)).any()
    assert (output(None) != output(None)).any()


def test_sub_layers_draw_from_different_seeds():
    block = EncoderBlock(2, seed=7, dropout_rate=0.1)
    block.build((None, 5, 8))
    layers = (block.attention.attention_dropout, block.attention.dropout, block.dropout, block.stochastic_depth)
    assert len({layer.seed for layer in layers}) == len(layers)
