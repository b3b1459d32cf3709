import keras
import numpy as np
import pytest
from fixtures.golden import CASES, MANIFOLD_CASES, VISION_CASES, golden_model, state_dict_of

import keras_cct

SMALL_CASES = [name for name in VISION_CASES if "_2_" in name]
CASES_ON_MANIFOLDS = [name for name in MANIFOLD_CASES if "_224" not in name]


@pytest.mark.parametrize("name", SMALL_CASES + CASES_ON_MANIFOLDS)
def test_weights_survive_the_way_there_and_back_bit_for_bit(name):
    expected = state_dict_of(CASES[name])
    exported = keras_cct.export_torch_weights(golden_model(name))
    assert exported.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(exported[key], array, strict=True)
        assert exported[key].flags.c_contiguous


def test_every_fault_is_listed_and_nothing_is_loaded():
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
    for fault in (
        "missing classifier.norm.bias (128,)",
        "missing classifier.blocks.1.linear1.weight (128, 128)",
        "extra classifier.class_emb (1, 1, 128)",
        "classifier.fc.bias is (3,) instead of (10,)",
    ):
        assert fault in message
    after = keras_cct.export_torch_weights(model)
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_models_from_elsewhere_are_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="somewhere")], name="other")
    with pytest.raises(keras_cct.InputError, match="model 'other' has no tokenizer. Give a model made by keras_cct"):
        keras_cct.export_torch_weights(model)
    tokenizer = keras_cct.PatchTokenizer(dim=4, patch_size=2, name="tokenizer")
    model = keras.Sequential([keras.Input((4, 4, 1)), tokenizer, keras.layers.Dense(2, name="somewhere")])
    with pytest.raises(keras_cct.InputError, match="layer 'somewhere' has no place in a state dict"):
        keras_cct.export_torch_weights(model)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["a"], "a list holds no weights. Give a mapping of names to arrays, or a path."),
        (None, "a NoneType holds no weights"),
        ({"classifier.fc.bias": np.zeros(10, "int8")}, "classifier.fc.bias holds int8, not floating-point numbers"),
    ],
)
def test_sources_that_hold_no_weights_are_refused(source, message):
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.load_torch_weights(keras_cct.create_model("cct_2_3x2_32"), source)
