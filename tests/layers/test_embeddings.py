import math

import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import ClassToken, InputError, PositionEmbedding
from keras_cct.layers.embeddings import sine_embedding


def test_sine_embedding_follows_its_formula():
    table = sine_embedding(num_tokens=50, dim=6)
    for position, column in [(0, 0), (0, 1), (7, 2), (49, 3), (49, 5)]:
        angle = position / 10000 ** (2 * (column // 2) / 6)
        expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
        assert table[0, position, column] == pytest.approx(expected, abs=1e-7)


def test_sine_embedding_does_not_train_and_learnable_does():
    for kind, num_trainable in (("sine", 0), ("learnable", 1)):
        layer = PositionEmbedding(kind)
        layer.build((None, 9, 4))
        assert len(layer.trainable_weights) == num_trainable
        assert layer.count_params() == 36


def test_learnable_embedding_starts_with_standard_deviation_a_fifth():
    layer = PositionEmbedding("learnable")
    layer.build((None, 100, 256))
    assert np.std(to_numpy(layer.embedding)) == pytest.approx(0.2, rel=0.02)


def test_embedding_is_added_to_every_image():
    layer = PositionEmbedding("sine")
    tokens = np.ones((2, 9, 4), dtype="float32")
    np.testing.assert_allclose(to_numpy(layer(tokens)), tokens + sine_embedding(9, 4), atol=1e-6)


def test_unknown_kind_is_refused():
    with pytest.raises(
        InputError, match="kind='cosine' of PositionEmbedding is unknown. Choose one of learnable, sine"
    ):
        PositionEmbedding("cosine")


def test_class_token_comes_first():
    layer = ClassToken()
    tokens = np.ones((2, 9, 4), dtype="float32")
    layer.build(tokens.shape)
    layer.token.assign(np.full((1, 1, 4), 7.0))
    longer = to_numpy(layer(tokens))
    np.testing.assert_array_equal(longer[:, 0], np.full((2, 4), 7))
    np.testing.assert_array_equal(longer[:, 1:], tokens)
