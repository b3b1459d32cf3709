import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.gradients import gradient_of
from keras import ops

from keras_cct.layers import EncoderBlock, elementwise
from keras_cct.layers.elementwise import Dropout, LayerNormalization, gelu
from keras_cct.layers.masks import keep_mask

is_torch = keras.backend.backend() == "torch"


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def assert_equal(ours, expected, x: np.ndarray) -> None:
    """Compares two functions of a tensor and their gradients."""
    weights = random(*x.shape[::-1]).T
    values = [to_numpy(function(ops.convert_to_tensor(x))) for function in (ours, expected)]
    np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-6)
    gradients = [gradient_of(lambda v, f=function: ops.multiply(f(v), weights), x) for function in (ours, expected)]
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-5)


def test_gelu_of_training():
    x = np.concatenate([random(5, 7), 40 * random(5, 7)])
    assert_equal(lambda v: gelu(v, training=True), lambda v: ops.gelu(v, approximate=False), x)


def test_layer_normalization_of_training():
    layer = LayerNormalization()
    layer.build((None, 7))
    layer.set_weights([random(7), random(1, 7)[0]])
    assert_equal(lambda v: layer(v, training=True), lambda v: layer(v, training=False), 3 + 5 * random(4, 6, 7))


@pytest.mark.tensorflow
def test_gradients_of_the_weights_of_a_layer_normalization():
    import tensorflow as tf

    layer = LayerNormalization()
    layer.build((None, 7))
    x, weights = random(4, 6, 7), random(7, 6, 4).T
    gradients = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(x, training=training) * weights)
        gradients.append(tape.gradient(total, [weight.value for weight in layer.trainable_weights]))
    for ours, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.skipif(is_torch, reason="PyTorch keeps its own dropout")
def test_dropout_scales_the_values_of_its_mask(monkeypatch):
    key = ops.convert_to_tensor([3, 4], dtype="uint32")
    monkeypatch.setattr(elementwise, "dropout_key", lambda _: key)
    mask = to_numpy(keep_mask((3, 4, 6, 6), 0.25, key)).astype("float32") / 0.75
    layer, x = Dropout(0.25), random(3, 4, 6, 6)
    assert_equal(lambda v: layer(v, training=True), lambda v: v * mask, x)
    assert_equal(layer.of_softmax, lambda v: ops.softmax(v) * mask, x)
    assert 0.5 < (mask > 0).mean() < 1


def test_dropout_of_rate_0_and_in_inference_changes_nothing():
    x = random(2, 3, 4, 4)
    assert_equal(lambda v: Dropout(0.0)(v, training=True), lambda v: v, x)
    assert_equal(lambda v: Dropout(0.5)(v, training=False), lambda v: v, x)
    assert_equal(Dropout(0.0).of_softmax, ops.softmax, x)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype):
    x = ops.cast(random(4, 6, 7), dtype)
    layer = LayerNormalization(dtype=dtype)
    layer.build((None, 7))
    wide = np.asarray(to_numpy(ops.cast(x, "float32")))
    for half, full in (
        (gelu(x, training=True), gelu(ops.convert_to_tensor(wide))),
        (layer(x, training=True), LayerNormalization()(wide)),
    ):
        assert keras.backend.standardize_dtype(half.dtype) == dtype
        tolerance = 2.0**-6 if dtype == "bfloat16" else 2.0**-9
        np.testing.assert_allclose(to_numpy(ops.cast(half, "float32")), to_numpy(full), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("attention_type", ["softmax", pytest.param("all", marks=pytest.mark.one_backend)])
def test_a_block_trains_as_it_infers_without_random_numbers(attention_type):
    block = EncoderBlock(2, attention_dropout_rate=0.0, attention_type=attention_type)
    block.build((None, 5, 8))
    assert_equal(lambda v: block(v, training=True), lambda v: block(v, training=False), random(3, 5, 8))


@pytest.mark.tensorflow
def test_a_function_of_any_batch_size_compiles_for_each():
    import tensorflow as tf

    block = EncoderBlock(2, dropout_rate=0.1, stochastic_depth_rate=0.1)
    block.build((None, 5, 8))
    step = tf.function(lambda v: block(v, training=True), input_signature=[tf.TensorSpec((None, 5, 8))])
    for batch in (1, 4):
        assert step(random(batch, 5, 8)).shape == (batch, 5, 8)


@pytest.mark.tensorflow
def test_training_on_a_gpu_does_not_compile_the_functions(monkeypatch):
    from keras_cct.layers import tensorflow_elementwise

    monkeypatch.setattr(tensorflow_elementwise, "can_compile", lambda: False)
    monkeypatch.setattr(tensorflow_elementwise, "gelu", None)
    x = random(2, 3)
    assert_equal(lambda v: gelu(v, training=True), gelu, x)
    assert np.isin(to_numpy(Dropout(0.5)(np.ones((4, 4), "float32"), training=True)), [0, 2]).all()
