import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import ClassTokenPool, SequencePool


def test_sequence_pool_weights_tokens_by_softmax_of_their_scores():
    layer = SequencePool()
    tokens = np.random.default_rng(0).standard_normal((2, 6, 4)).astype("float32")
    pooled = to_numpy(layer(tokens))
    kernel, bias = map(to_numpy, layer.weights)
    scores = np.exp(tokens @ kernel + bias)
    expected = (tokens * scores / scores.sum(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_sequence_pool_ignores_masked_tokens(dtype):
    layer = SequencePool(dtype=dtype)
    tokens = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(dtype)
    mask = np.array([[True] * 4 + [False] * 2, [True] * 6])
    pooled = to_numpy(layer(tokens, mask=mask))
    assert np.abs(pooled[0] - to_numpy(layer(tokens))[0]).max() > 1e-3
    np.testing.assert_allclose(pooled[0], to_numpy(layer(tokens[:1, :4]))[0], atol=1e-6 if dtype == "float32" else 2e-3)
    np.testing.assert_allclose(pooled[1], to_numpy(layer(tokens))[1], atol=1e-6)


def test_sequence_pool_receives_the_mask_of_an_earlier_layer():
    inputs = keras.Input((6, 4))
    pool = SequencePool()
    model = keras.Model(inputs, pool(keras.layers.Masking()(inputs)))
    tokens = np.random.default_rng(0).standard_normal((1, 6, 4)).astype("float32")
    tokens[:, 4:] = 0
    np.testing.assert_allclose(to_numpy(model(tokens)), to_numpy(pool(tokens[:, :4])), atol=1e-6)


def test_class_token_pool_returns_the_first_token():
    tokens = np.arange(24, dtype="float32").reshape(2, 3, 4)
    np.testing.assert_array_equal(to_numpy(ClassTokenPool()(tokens)), tokens[:, 0])
