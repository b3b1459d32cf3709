import numpy as np
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


def test_class_token_pool_takes_the_first_token():
    tokens = np.arange(24, dtype="float32").reshape(2, 3, 4)
    np.testing.assert_array_equal(to_numpy(ClassTokenPool()(tokens)), tokens[:, 0])
