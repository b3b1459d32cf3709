import math

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import EncoderBlock, StochasticDepth
from keras_cct.layers.encoder import gelu


def test_gelu_is_the_exact_one():
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


def test_second_sum_starts_from_the_normalised_tokens():
    block = EncoderBlock(num_heads=2, mlp_ratio=2.0)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    block.build(x.shape)
    for weight in (block.attention.projection.kernel, block.mlp_out.kernel):
        weight.assign(np.zeros(weight.shape))
    # With both branches silent, what is left is the norm of the input.
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(to_numpy(block(x)), expected, atol=1e-5)


def test_block_hands_back_its_attention_weights():
    block = EncoderBlock(num_heads=2)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    tokens, weights = block(x, return_attention_weights=True)
    np.testing.assert_allclose(to_numpy(tokens), to_numpy(block(x)), atol=1e-6)
    np.testing.assert_allclose(to_numpy(weights).sum(-1), np.ones((2, 2, 5)), atol=1e-6)
