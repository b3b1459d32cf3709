import keras
import numpy as np
import pytest
from fixtures.golden import CASES, MANIFOLD_CASES, VISION_CASES, golden_model, parameters_of_cases, state_dict_of

import keras_cct

SMALL_CASES = [name for name in VISION_CASES if "_2_" in name]
SMALL_MANIFOLD_CASES = [name for name in MANIFOLD_CASES if "_224" not in name]


@pytest.mark.parametrize("name", parameters_of_cases(SMALL_CASES + SMALL_MANIFOLD_CASES))
def test_state_dict_round_trips_bit_for_bit(name):
    expected = state_dict_of(CASES[name])
    exported = keras_cct.export_torch_weights(golden_model(name))
    assert exported.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(exported[key], array, strict=True)
        assert exported[key].flags.c_contiguous


def test_every_mismatch_is_listed_and_nothing_is_loaded():
    model = golden_model("cct_2_3x2_32")
    before = keras_cct.export_torch_weights(model)
    wrong = dict(before)
    del wrong["classifier.norm.bias"]
    del wrong["classifier.blocks.1.linear1.weight"]
    wrong["classifier.class_emb"] = np.zeros((1, 1, 128))
    wrong["classifier.fc.bias"] = np.zeros(3)
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.load_torch_weights(model, {key: value + 1 for key, value in wrong.items()})
    message = str(error.value)
    for mismatch in (
        "missing classifier.norm.bias (128,)",
        "missing classifier.blocks.1.linear1.weight (128, 128)",
        "unexpected classifier.class_emb (1, 1, 128)",
        "classifier.fc.bias has shape (3,), expected (10,)",
    ):
        assert mismatch in message
    after = keras_cct.export_torch_weights(model)
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_normalization_has_no_entry_whatever_its_layer_class():
    images = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="normalization")(images)
    model = keras.Model(images, keras_cct.PatchTokenizer(dim=4, patch_size=2, name="tokenizer")(x))
    assert model.get_layer("normalization").weights
    assert {key.split(".")[0] for key in keras_cct.export_torch_weights(model)} == {"tokenizer"}


def test_model_of_another_package_is_rejected():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="somewhere")], name="other")
    with pytest.raises(keras_cct.InputError, match="model 'other' has no tokenizer"):
        keras_cct.export_torch_weights(model)
    tokenizer = keras_cct.PatchTokenizer(dim=4, patch_size=2, name="tokenizer")
    model = keras.Sequential([keras.Input((4, 4, 1)), tokenizer, keras.layers.Dense(2, name="somewhere")])
    with pytest.raises(keras_cct.InputError, match="layer 'somewhere' has no entry in a state dict"):
        keras_cct.export_torch_weights(model)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["a"], "source is a list"),
        (None, "source is a NoneType"),
        ({"classifier.fc.bias": np.zeros(10, "int8")}, "classifier.fc.bias has dtype int8"),
    ],
)
def test_source_without_weights_is_rejected(source, message):
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.load_torch_weights(keras_cct.create_model("cct_2_3x2_32"), source)
