import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import EncoderBlock, InputError, SelfAttention


def tokens(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def attention_by_numpy(x: np.ndarray, layer: SelfAttention) -> tuple[np.ndarray, np.ndarray]:
    kernel, projection, bias = map(to_numpy, layer.weights)
    batch, num_tokens, dim = x.shape
    head_dim = dim // layer.num_heads
    query, key, value = np.split(x.astype("float64") @ kernel, 3, axis=-1)
    output, weights = np.zeros_like(query), np.zeros((batch, layer.num_heads, num_tokens, num_tokens))
    for head in range(layer.num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        scores = np.exp(query[..., part] @ key[..., part].swapaxes(1, 2) / head_dim**0.5)
        weights[:, head] = scores / scores.sum(axis=-1, keepdims=True)
        output[..., part] = weights[:, head] @ value[..., part]
    return output @ projection + bias, weights


def test_attention_equals_its_formula_with_and_without_weights():
    layer, x = SelfAttention(num_heads=3), tokens(2, 7, 12)
    layer.build(x.shape)
    layer.query_key_value.kernel.assign(tokens(12, 36))
    expected, expected_weights = attention_by_numpy(x, layer)
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-5)
    output, weights = layer(x, return_attention_weights=True)
    np.testing.assert_allclose(to_numpy(output), expected, atol=1e-5)
    np.testing.assert_allclose(to_numpy(weights), expected_weights, atol=1e-5)


def test_training_without_dropout_equals_inference():
    layer, x = SelfAttention(num_heads=2, attention_dropout_rate=0.0), tokens(2, 5, 8)
    inference, training = (to_numpy(layer(x, training=mode)) for mode in (False, True))
    np.testing.assert_allclose(training, inference, atol=1e-6)


def test_attention_dropout_acts_only_in_training():
    layer, x = SelfAttention(num_heads=2, attention_dropout_rate=0.5), tokens(2, 5, 8)
    inference, again = (to_numpy(layer(x, training=False)) for _ in range(2))
    np.testing.assert_array_equal(inference, again)
    assert np.abs(to_numpy(layer(x, training=True)) - inference).max() > 1e-4


def test_dropped_attention_keeps_its_mean():
    layer, x = SelfAttention(num_heads=1, attention_dropout_rate=0.3), tokens(1, 16, 4)
    inference = to_numpy(layer(x, training=False))
    mean = to_numpy(layer(np.repeat(x, 300, axis=0), training=True)).mean(axis=0, keepdims=True)
    # The standard error of a mean of 300 draws is about a twentieth of their standard deviation.
    assert np.abs(mean - inference).mean() < 0.05 * np.abs(inference).mean() + 1e-3


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match="num_heads=3 does not divide .* 8"):
        SelfAttention(num_heads=3)(tokens(1, 5, 8))


@pytest.mark.parametrize("layer", [SelfAttention(2), EncoderBlock(2)])
def test_a_model_can_output_attention_weights(layer):
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, layer(inputs, return_attention_weights=True))
    assert model.output_shape == [(None, 5, 8), (None, 2, 5, 5)]
    _, weights = model(tokens(3, 5, 8))
    np.testing.assert_allclose(to_numpy(weights).sum(-1), np.ones((3, 2, 5)), atol=1e-6)
