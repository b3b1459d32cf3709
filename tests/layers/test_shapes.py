import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import layers
from keras_cct.errors import InputError
from keras_cct.layers.shapes import check_image_shape, check_token_shape, reshape_samples

IMAGE_LAYERS = {
    "normalization": layers.PixelNormalization(),
    "conv_tokenizer": layers.ConvTokenizer(6),
    "patch_tokenizer": layers.PatchTokenizer(6),
}
TOKEN_LAYERS = {
    "class_token": layers.ClassToken(),
    "position_embedding": layers.PositionEmbedding(),
    "attention": layers.SelfAttention(2),
    "manifold_attention": layers.ManifoldAttention(2, ["spd"]),
    "observability_tokens": layers.ObservabilityTokens(2, 2),
    "grassmann_block": layers.EncoderBlock(2, attention_type="grassmann"),
    "block": layers.EncoderBlock(2),
    "sequence_pool": layers.SequencePool(),
    "token_grid": layers.TokenGrid(2, 2),
}


def test_samples_are_reshaped_one_by_one():
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(to_numpy(reshape_samples(keras.ops.convert_to_tensor(x), (4, 3))), x.reshape(2, 4, 3))


def test_unknown_sizes_are_refused():
    assert check_image_shape((None, 8, 6, 3)) == (8, 6, 3)
    for shape in [(8, 6, 3), (None, None, 6, 3), (None, 8, 6, None)]:
        with pytest.raises(InputError, match=r"\(batch, height, width, channels\)"):
            check_image_shape(shape)
    check_token_shape((None, None, 4))
    for shape in [(4, 6), (None, 4, None)]:
        with pytest.raises(InputError, match=r"\(batch, tokens, dim\)"):
            check_token_shape(shape)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", TOKEN_LAYERS)
def test_surplus_values_never_become_samples_of_an_exported_layer(name, tmp_path):
    import tensorflow as tf

    layer, shape = TOKEN_LAYERS[name], (4, 6)
    inputs = keras.Input(shape)
    keras.Model(inputs, layer(inputs)).export(tmp_path / "served", verbose=False)
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    (output,) = serve(tf.zeros((2, *shape))).values()
    assert output.shape[0] == 2
    for wrong in [(2, 2 * shape[0], *shape[1:]), (2, *shape[:-1], 2 * shape[-1])]:
        try:
            (output,) = serve(tf.zeros(wrong)).values()
        except tf.errors.InvalidArgumentError:
            continue
        assert output.shape[0] == 2


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", IMAGE_LAYERS)
def test_an_exported_image_layer_refuses_images_of_another_shape(name, tmp_path):
    import tensorflow as tf

    inputs = keras.Input((8, 12, 3))
    keras.Model(inputs, IMAGE_LAYERS[name](inputs)).export(tmp_path / "served", verbose=False)
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    for shape in [(2, 16, 12, 3), (2, 12, 8, 3), (2, 8, 12, 1), (2, 1, 12, 3), (8, 12, 3), (8, 12, 3, 1)]:
        with pytest.raises(tf.errors.InvalidArgumentError):
            serve(tf.zeros(shape))
