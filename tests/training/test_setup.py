import pytest
from fixtures.small_run import small_recipe

import keras_cct
from keras_cct.training.setup import freeze_layers, initial_weights


def small_model():
    return keras_cct.create_model("cct_2_3x2_32")


def trained_layers(**keys) -> list[str]:
    model = small_model()
    freeze_layers(small_recipe(**keys), model)
    return [layer.name for layer in model.layers if layer.trainable_weights]


def test_freeze_leaves_the_head():
    assert trained_layers(freeze=True) == ["head"]


def test_freeze_until_trains_that_layer_and_all_behind_it():
    assert trained_layers(freeze_until="block_1") == ["block_1", "norm", "sequence_pool", "head"]
    assert trained_layers() == [
        "tokenizer",
        "position_embedding",
        "block_0",
        "block_1",
        "norm",
        "sequence_pool",
        "head",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"freeze_until": "block_2"}, "freeze_until='block_2' is no layer of cct_2_3x2_32. Choose one of"),
    ],
)
def test_impossible_freezing_is_refused(keys, message):
    with pytest.raises(keras_cct.InputError, match=message):
        freeze_layers(small_recipe(**keys), small_model())


def test_weights_are_the_checkpoint_named_or_the_published_ones():
    assert initial_weights(small_recipe()) is None
    assert initial_weights(small_recipe(pretrained=True, model="cct_14_7x2_384")) == "imagenet"
    assert initial_weights(small_recipe(pretrained=True, initial_checkpoint="a.keras")) == "a.keras"


def test_published_weights_that_do_not_exist_are_refused():
    with pytest.raises(keras_cct.InputError, match="cvt_7_4_32 has no published weights"):
        initial_weights(small_recipe(pretrained=True, model="cvt_7_4_32"))
