import keras
import pytest
from fixtures.weight_files import ENDINGS, assert_same_answers, filled_model, need_torch_for

import keras_cct
from keras_cct import convert_weights
from keras_cct.weights.formats import write_state_dict

MODELS = {
    "cct_2_3x2_32": {"input_shape": (28, 28, 1), "num_classes": 7},
    "vit_2_4_32": {"input_shape": (24, 24, 5), "include_top": False},
    "cvt_2_4_32": {"position_embedding": "none"},
    "manifold_cct_2_3x2_32": {"input_shape": (16, 16, 3)},
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_file_converts_there_and_back_bit_for_bit(name, ending, tmp_path):
    need_torch_for(ending)
    first, middle, last = tmp_path / "first.safetensors", tmp_path / f"middle{ending}", tmp_path / "last.safetensors"
    keras_cct.save_weights_file(filled_model(name, **MODELS[name]), first)
    convert_weights(first, middle, name)
    convert_weights(middle, last, None if ending == ".keras" else name)
    assert last.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_the_model_made_of_a_state_dict_answers_the_same(name, tmp_path):
    model = filled_model(name, **MODELS[name])
    keras_cct.save_weights_file(model, tmp_path / "weights.safetensors")
    convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", name)
    assert_same_answers(keras.models.load_model(tmp_path / "model.keras"), model)


def test_images_that_are_not_square_are_given(tmp_path):
    model = filled_model("cvt_2_4_32", input_shape=(16, 24, 3))
    keras_cct.save_weights_file(model, tmp_path / "weights.safetensors")
    with pytest.raises(keras_cct.InputError, match="has 24 positions, and images of 32x32 or 16x16 pixels do not make"):
        convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", "cvt_2_4_32")
    convert_weights(tmp_path / "weights.safetensors", tmp_path / "model.keras", "cvt_2_4_32", img_size=(16, 24))
    assert_same_answers(keras.models.load_model(tmp_path / "model.keras"), model)


def test_what_a_state_dict_does_not_hold_is_given(tmp_path):
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
    assert_same_answers(converted, model)
    assert list(converted.get_layer("head").class_names) == names


def test_a_tag_is_converted_with_the_names_of_its_classes(tmp_path):
    convert_weights("fashion_mnist", tmp_path / "model.keras", "cct_2_3x2_32")
    predictor = keras_cct.load_predictor(tmp_path / "model.keras")
    assert predictor.class_names == keras_cct.class_names("fashion_mnist")
    assert predictor.image_shape == (28, 28, 1)


@pytest.mark.parametrize(
    ("source", "target", "settings", "message"),
    [
        ("there.keras", "there.safetensors", {}, "exists already. Remove it or give another name."),
        ("there.keras", "new.onnx", {}, "is no file of weights. Give a name that ends in .keras"),
        ("there.keras", "new.safetensors", {"model": "cvt_2_4_32"}, "model='cvt_2_4_32' means nothing to"),
        ("there.keras", "new.safetensors", {"img_size": (8, 8)}, "img_size=(8, 8) means nothing to"),
        ("none.keras", "new.safetensors", {}, "does not exist. Give a .keras file."),
        ("none.pth.zip", "new.safetensors", {"model": "cvt_2_4_32"}, "is no file of weights"),
        ("none.safetensors", "new.keras", {"model": "cvt_2_4_32"}, "does not exist"),
        ("there.safetensors", "new.keras", {}, "does not tell its model. Give the name of a variant"),
        ("there.safetensors", "new.keras", {"model": "cvt_3_4_32"}, "unknown variant 'cvt_3_4_32'. Did you mean"),
        ("there.safetensors", "new.keras", {"model": "cvt_4_4_32"}, "the weights do not fit model 'cvt_4_4_32'"),
        ("there.safetensors", "new.keras", {"model": "cvt_2_4_32", "img_size": (8, 8)}, "and images of 8x8 pixels do"),
        (
            "there.safetensors",
            "new.keras",
            {"model": "cvt_2_4_32", "img_size": (8, 0)},
            "img_size must be at least 1, got 0",
        ),
        ("there.safetensors", "new.keras", {"model": "cvt_2_4_32", "img_size": (8,)}, "is not (height, width)"),
        ("other.safetensors", "new.keras", {"model": "cvt_2_4_32"}, "tokenizer.conv_layers.0.0.weight in"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_writes_nothing(source, target, settings, message, tmp_path):
    model = filled_model("cvt_2_4_32")
    model.save(tmp_path / "there.keras")
    keras_cct.save_weights_file(model, tmp_path / "there.safetensors")
    weights = {"head.weight": keras_cct.export_torch_weights(model)["classifier.fc.weight"]}
    write_state_dict(weights, tmp_path / "other.safetensors")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(keras_cct.InputError) as error:
        convert_weights(tmp_path / source, tmp_path / target, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
