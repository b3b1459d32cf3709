import inspect

import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct

# (parameters, tokens) of every published variant.
PUBLISHED = {
    "vit_2_4_32": (214_666, 64),
    "vit_4_4_32": (413_066, 64),
    "vit_6_4_32": (3_190_538, 64),
    "vit_7_4_32": (3_716_874, 64),
    "cvt_2_4_32": (214_539, 64),
    "cvt_4_4_32": (412_939, 64),
    "cvt_6_4_32": (3_190_283, 64),
    "cvt_7_4_32": (3_716_619, 64),
    "cct_2_3x2_32": (283_723, 64),
    "cct_4_3x2_32": (482_123, 64),
    "cct_6_3x1_32": (3_233_803, 256),
    "cct_6_3x2_32": (3_326_923, 64),
    "cct_7_3x1_32": (3_760_139, 256),
    "cct_7_3x1_32_c100": (3_783_269, 256),
    "cct_7_3x2_32": (3_853_259, 64),
    "cct_7_7x2_224": (4_573_735, 196),
    "cct_14_7x2_224": (22_367_273, 196),
    "cct_14_7x2_384": (22_513_193, 576),
    "cct_14_7x2_384_fl": (22_167_463, 576),
}
PUBLISHED_NAMES = [name for name in keras_cct.list_models() if name.replace("_sine", "") in PUBLISHED]


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_parameters_and_tokens(name):
    num_params, num_tokens = PUBLISHED[name.replace("_sine", "")]
    model = getattr(keras_cct, name)()
    assert model.name == name
    assert model.count_params() == num_params
    assert model.get_layer("tokenizer").output.shape[1] == num_tokens
    assert model.get_layer("position_embedding").embedding_type == ("sine" if "_sine" in name else "learnable")


def test_variants_import_by_name_with_the_arguments_of_create_model():
    from keras_cct import cct_14_7x2_384

    parameters = inspect.signature(cct_14_7x2_384).parameters
    assert list(parameters) == list(inspect.signature(keras_cct.create_model).parameters)[1:]
    assert cct_14_7x2_384.__name__ == "cct_14_7x2_384"


def test_a_size_takes_any_tokenizer_image_and_classes():
    model = keras_cct.cct_14(kernel_size=5, num_conv_layers=3, input_shape=(224, 224, 3), num_classes=17)
    assert model.output_shape == (None, 17)
    assert model.get_layer("tokenizer").output.shape == (None, 28 * 28, 384)


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (24, 40, 3), (32, 16, 5)])
@pytest.mark.parametrize("name", ["cct_2_3x2_32", "cvt_2_4_32", "vit_2_4_32"])
def test_images_of_any_shape_and_channels(name, input_shape):
    model = keras_cct.create_model(name, input_shape=input_shape, num_classes=3)
    images = np.random.default_rng(0).integers(0, 256, (2, *input_shape), dtype="uint8")
    assert np.isfinite(model.predict_on_batch(images)).all()


def test_family_functions_build_their_family():
    small = {"input_shape": (8, 8, 3), "dim": 8, "num_heads": 2, "num_layers": 1}
    assert keras_cct.CCT(**small, kernel_size=5).get_layer("tokenizer").kernel_size == 5
    assert keras_cct.CVT(**small, patch_size=2).get_layer("tokenizer").patch_size == 2
    assert keras_cct.ViTLite(**small).get_layer("class_token_pool").output.shape == (None, 8)


def test_rates_reach_the_layers():
    model = keras_cct.create_model(
        "cct_2_3x2_32", dropout_rate=0.3, attention_dropout_rate=0.2, stochastic_depth_rate=0.4
    )
    block = model.get_layer("block_1")
    assert (block.dropout_rate, block.attention_dropout_rate, block.stochastic_depth_rate) == (0.3, 0.2, 0.4)
    assert model.get_layer("dropout").rate == 0.3


def test_patch_size_that_does_not_divide_the_image_is_refused():
    with pytest.raises(
        keras_cct.InputError, match=r"patch_size=5 does not divide .* Choose one of \[1, 2, 4, 8, 16, 32\]"
    ):
        keras_cct.create_model("cvt_2_4_32", patch_size=5)


def test_a_single_pixel_is_image_enough_for_the_conv_tokenizer():
    model = keras_cct.create_model("cct_7_7x2_224", input_shape=(1, 1, 3), num_conv_layers=3)
    assert model.get_layer("tokenizer").output.shape == (None, 1, 256)


def test_weights_come_from_a_keras_file(tmp_path):
    saved = keras_cct.create_model("cvt_2_4_32")
    saved.save_weights(tmp_path / "cvt.weights.h5")
    loaded = keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "cvt.weights.h5")
    for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


def test_weights_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(keras_cct.InputError, match="'model.zip' is no file of weights"):
        keras_cct.create_model("cvt_2_4_32", weights="model.zip")
    with pytest.raises(keras_cct.InputError, match="does not exist"):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "none.pth")
    (tmp_path / "broken.weights.h5").write_text("not HDF5")
    with pytest.raises(keras_cct.InputError, match="is not a file of Keras weights, or a broken one"):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "broken.weights.h5")
    keras_cct.create_model("cvt_4_4_32").save_weights(tmp_path / "deeper.weights.h5")
    with pytest.raises(
        keras_cct.InputError, match="the weights do not fit model 'cvt_2_4_32': extra layers/encoder_block"
    ):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "deeper.weights.h5")


def test_a_model_can_have_another_name_but_not_another_family():
    assert keras_cct.cct_2(name="left").name == "left"
    with pytest.raises(keras_cct.InputError, match="family='vit'.* 'cvt_2'"):
        keras_cct.create_model("cvt_2", family="vit")


def test_numbers_of_numpy_are_numbers():
    model = keras_cct.create_model(
        "cvt_2", input_shape=np.array([8, 8, 3]), num_layers=np.int64(1), dropout_rate=np.float32(0.5)
    )
    assert model.input_shape == (None, 8, 8, 3)
