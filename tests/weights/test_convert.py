import keras
import pytest
from fixtures.weight_files import ENDINGS, assert_identical_outputs, filled_model, skip_without_torch

import keras_cct
from keras_cct import convert_weights
from keras_cct.weights.formats import write_state_dict

MODELS = {
    "cct_2_3x2_32": {"input_shape": (28, 28, 1), "num_classes": 7},
    "vit_2_4_32": {"input_shape": (24, 24, 5), "include_top": False},
    "cvt_2_4_32": {"position_embedding": "none"},
    "manifold_cct_2_3x2_32": {"input_shape": (16, 16, 3)},
}


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        pytest.param(name, ending, marks=() if name == "cct_2_3x2_32" or ending == ".keras" else pytest.mark.slow)
        for name in MODELS
        for ending in ENDINGS
    ],
)
def test_every_format_round_trips_bit_for_bit(name, ending, tmp_path):
    skip_without_torch(ending)
    first, middle, last = tmp_path / "first.safetensors", tmp_path / f"middle{ending}", tmp_path / "last.safetensors"
    keras_cct.save_weights_file(filled_model(name, **MODELS[name]), first)
    convert_weights(first, middle, name)
    convert_weights(middle, last, None if ending == ".keras" else name)
    assert last.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_keras_file_made_from_a_state_dict_has_identical_outputs(name, tmp_path):
    model = filled_model(name, **MODELS[name])
    keras_cct.save_weights_file(model, tmp_path / "weights.safetensors")
    convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", name)
    assert_identical_outputs(keras.models.load_model(tmp_path / "model.keras"), model)


def test_image_size_of_non_square_images_is_required(tmp_path):
    model = filled_model("cvt_2_4_32", input_shape=(16, 24, 3))
    keras_cct.save_weights_file(model, tmp_path / "weights.safetensors")
    with pytest.raises(keras_cct.InputError, match="of 24 tokens, .* makes 64 and 16 from .* 32x32 and 16x16 pixels"):
        convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", "cvt_2_4_32")
    convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", "cvt_2_4_32", img_size=(16, 24))
    assert_identical_outputs(keras.models.load_model(tmp_path / "model.keras"), model)


def test_settings_that_a_state_dict_lacks_are_arguments(tmp_path):
    names = [f"class {index}" for index in range(10)]
    model = filled_model("manifold_cvt_2_4_32", attention_type="gm", normalization=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    keras_cct.save_weights_file(model, tmp_path / "weights.safetensors")
    convert_weights(
        tmp_path / "weights.safetensors",
        tmp_path / "model.keras",
        "manifold_cvt_2_4_32",
        attention_type="gm",
        normalization=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        class_names=names,
    )
    converted = keras.models.load_model(tmp_path / "model.keras")
    assert_identical_outputs(converted, model)
    assert list(converted.get_layer("head").class_names) == names


def test_settings_that_the_target_cannot_store_are_refused(tmp_path):
    with pytest.raises(keras_cct.InputError, match="cannot store normalization or class names"):
        convert_weights("cvt.safetensors", tmp_path / "cvt.weights.h5", "cvt_2_4_32", class_names=["cat", "dog"])


def test_tag_converts_with_its_class_names(tmp_path):
    convert_weights("fashion_mnist", tmp_path / "model.keras", "cct_2_3x2_32")
    predictor = keras_cct.load_predictor(tmp_path / "model.keras")
    assert predictor.class_names == keras_cct.class_names("fashion_mnist")
    assert predictor.image_shape == (28, 28, 1)


def test_keras_file_converts_from_a_url(tmp_path, monkeypatch):
    model = filled_model("cvt_2_4_32")
    model.save(tmp_path / "model.keras")
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    convert_weights("https://example.org/model.keras", tmp_path / "copy.keras")
    assert_identical_outputs(keras.models.load_model(tmp_path / "copy.keras"), model)


def test_tag_without_a_variant_is_rejected(tmp_path):
    with pytest.raises(keras_cct.InputError, match="'fashion_mnist' is the tag of a checkpoint"):
        convert_weights("fashion_mnist", tmp_path / "model.keras")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with a model, its weights, and weights of another package."""
    folder = tmp_path_factory.mktemp("sources")
    model = filled_model("cvt_2_4_32")
    model.save(folder / "there.keras")
    keras_cct.save_weights_file(model, folder / "there.safetensors")
    weights = {"head.weight": keras_cct.export_torch_weights(model)["classifier.fc.weight"]}
    write_state_dict(weights, folder / "other.safetensors")
    return folder


@pytest.mark.parametrize(
    ("source", "target", "settings", "message"),
    [
        ("there.keras", "there.safetensors", {}, "exists already"),
        ("there.keras", "new.onnx", {}, "is not a weights file"),
        ("there.keras", "new.safetensors", {"model": "cvt_2_4_32"}, "model='cvt_2_4_32' conflicts with"),
        ("there.keras", "new.safetensors", {"img_size": (8, 8)}, "img_size=(8, 8) conflicts with"),
        ("none.keras", "new.safetensors", {}, "does not exist"),
        ("none.pth.zip", "new.safetensors", {"model": "cvt_2_4_32"}, "is not a weights file"),
        ("none.safetensors", "new.keras", {"model": "cvt_2_4_32"}, "does not exist"),
        ("there.safetensors", "new.keras", {}, "does not contain its architecture. Pass the variant"),
        ("there.safetensors", "new.keras", {"model": "cvt_3_4_32"}, "cvt_3_4_32"),
        ("there.safetensors", "new.keras", {"model": "cvt_4_4_32"}, "the weights do not match model 'cvt_4_4_32'"),
        ("there.safetensors", "new.keras", {"model": "cvt_2_4_32", "img_size": (8, 8)}, "8x8 pixels"),
        ("there.safetensors", "new.keras", {"model": "cvt_2_4_32", "img_size": (8, 0)}, "img_size"),
        ("there.safetensors", "new.keras", {"model": "cvt_2_4_32", "img_size": (8,)}, "is not (height, width)"),
        ("other.safetensors", "new.keras", {"model": "cvt_2_4_32"}, "tokenizer.conv_layers.0.0.weight in"),
    ],
)
def test_failed_conversion_is_a_one_line_error_and_writes_nothing(source, target, settings, message, sources):
    before = {path: path.read_bytes() for path in sources.iterdir()}
    with pytest.raises(keras_cct.InputError) as error:
        convert_weights(sources / source, sources / target, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in sources.iterdir()} == before
