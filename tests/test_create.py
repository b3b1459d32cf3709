import dataclasses
import inspect

import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct import create

pytestmark = pytest.mark.one_backend
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
PUBLISHED_NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name.endswith("_sine") and "_2_" not in name else ())
    for name in keras_cct.list_models()
    if name.replace("_sine", "") in PUBLISHED
]
SMALL = {"input_shape": (8, 8, 3), "dim": 8, "num_heads": 2, "num_layers": 1}


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


@pytest.mark.parametrize(
    ("function", "typed_fields", "missing"),
    [
        (create.create_model, create.VariantFields, {"family"}),
        (create.CCT, create.FamilyFields, {"family", "patch_size"}),
        (create.CVT, create.FamilyFields, {"family", "kernel_size", "num_conv_layers"}),
        (create.ViTLite, create.FamilyFields, {"family", "kernel_size", "num_conv_layers"}),
    ],
)
def test_signatures_list_every_field_of_the_config_once(function, typed_fields, missing):
    named = list(inspect.signature(function).parameters)[:-1]
    named = [name for name in named if name not in ("variant", "weights", "trust")]
    fields = {field.name for field in dataclasses.fields(keras_cct.ModelConfig)}
    assert sorted([*named, *typed_fields.__annotations__]) == sorted(fields - missing)


def test_size_accepts_any_tokenizer_input_shape_and_classes():
    model = keras_cct.cct_14(kernel_size=5, num_conv_layers=3, input_shape=(224, 224, 3), num_classes=17)
    assert model.output_shape == (None, 17)
    assert model.get_layer("tokenizer").output.shape == (None, 28 * 28, 384)


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (24, 40, 3), (32, 16, 5)])
@pytest.mark.parametrize("name", ["cct_2_3x2_32", "cvt_2_4_32", "vit_2_4_32"])
def test_any_input_shape_and_number_of_channels(name, input_shape):
    model = keras_cct.create_model(name, input_shape=input_shape, num_classes=3)
    images = np.random.default_rng(0).integers(0, 256, (2, *input_shape), dtype="uint8")
    assert np.isfinite(model.predict_on_batch(images)).all()


def test_family_functions_build_their_family():
    assert keras_cct.CCT(**SMALL, kernel_size=5).get_layer("tokenizer").kernel_size == 5
    assert keras_cct.CVT(**SMALL, patch_size=2).get_layer("tokenizer").patch_size == 2
    assert keras_cct.ViTLite(**SMALL).get_layer("class_token_pool").output.shape == (None, 8)


def test_rates_reach_the_layers():
    model = keras_cct.create_model(
        "cct_2_3x2_32", dropout_rate=0.3, attention_dropout_rate=0.2, stochastic_depth_rate=0.4
    )
    block = model.get_layer("block_1")
    assert (block.dropout_rate, block.attention_dropout_rate, block.stochastic_depth_rate) == (0.3, 0.2, 0.4)
    assert model.get_layer("dropout").rate == 0.3


def test_patch_size_that_does_not_divide_the_image_is_rejected():
    with pytest.raises(keras_cct.InputError, match=r"patch_size=5 .*\[1, 2, 4, 8, 16, 32\]"):
        keras_cct.create_model("cvt_2_4_32", patch_size=5)


def test_conv_tokenizer_accepts_a_single_pixel():
    model = keras_cct.create_model("cct_7_7x2_224", input_shape=(1, 1, 3), num_conv_layers=3)
    assert model.get_layer("tokenizer").output.shape == (None, 1, 256)


def test_weights_load_from_a_keras_weights_file(tmp_path):
    saved = keras_cct.create_model("cvt_2_4_32")
    saved.save_weights(tmp_path / "cvt.weights.h5")
    loaded = keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "cvt.weights.h5")
    for weight, expected in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), to_numpy(expected))


def test_unusable_weights_are_rejected(tmp_path):
    with pytest.raises(keras_cct.InputError, match=r"'model.zip' is not a weights file"):
        keras_cct.create_model("cvt_2_4_32", weights="model.zip")
    with pytest.raises(keras_cct.InputError, match="none.pth' does not exist"):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "none.pth")
    (tmp_path / "broken.weights.h5").write_text("not HDF5")
    with pytest.raises(keras_cct.InputError, match="broken.weights.h5' is not a .weights.h5 file"):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "broken.weights.h5")
    keras_cct.create_model("cvt_4_4_32").save_weights(tmp_path / "deeper.weights.h5")
    with pytest.raises(keras_cct.InputError, match="do not match model 'cvt_2_4_32': unexpected layers/encoder_block"):
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "deeper.weights.h5")


def test_model_can_have_another_name_but_not_another_family():
    assert keras_cct.cct_2(name="left").name == "left"
    with pytest.raises(keras_cct.InputError, match="family='vit'.* 'cvt_2'"):
        keras_cct.create_model("cvt_2", family="vit")
    with pytest.raises(keras_cct.InputError, match="family='vit'"):
        keras_cct.CVT(family="vit")


def test_numpy_numbers_are_accepted():
    model = keras_cct.create_model(
        "cvt_2", input_shape=np.array([8, 8, 3]), num_layers=np.int64(1), dropout_rate=np.float32(0.5)
    )
    assert model.input_shape == (None, 8, 8, 3)
