import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import ClassToken, InputError, PositionEmbedding
from keras_cct.layers.initializers import sine_embedding


def test_sine_embedding_does_not_train_and_learnable_does():
    for embedding_type, num_trainable in (("sine", 0), ("learnable", 1)):
        layer = PositionEmbedding(embedding_type)
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


def test_unknown_embedding_type_is_refused():
    with pytest.raises(InputError, match="embedding_type='cosine' is unknown.* learnable, sine"):
        PositionEmbedding("cosine")


def test_config_of_version_0_1_0_loads():
    config = PositionEmbedding("sine", name="position_embedding").get_config()
    config["kind"] = config.pop("embedding_type")
    assert PositionEmbedding.from_config(config).embedding_type == "sine"
    assert "kind" in config  # the caller's dictionary is left as it was


def test_another_number_of_tokens_is_refused():
    layer = PositionEmbedding()
    layer(np.ones((2, 9, 4), dtype="float32"))
    for num_tokens in (1, 8):  # one token would broadcast
        with pytest.raises(InputError, match=f"got {num_tokens} tokens .* 9 positions"):
            layer(np.ones((2, num_tokens, 4), dtype="float32"))


def test_class_token_comes_first():
    layer = ClassToken()
    tokens = np.ones((2, 9, 4), dtype="float32")
    layer.build(tokens.shape)
    layer.token.assign(np.full((1, 1, 4), 7.0))
    longer = to_numpy(layer(tokens))
    np.testing.assert_array_equal(longer[:, 0], np.full((2, 4), 7))
    np.testing.assert_array_equal(longer[:, 1:], tokens)
