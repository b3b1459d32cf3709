import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct

SMALL = {"input_shape": (8, 12, 3), "dim": 8, "num_heads": 2, "num_layers": 2}
MODELS = {
    "cct": lambda: keras_cct.CCT(**SMALL),
    "cvt": lambda: keras_cct.CVT(**SMALL, patch_size=2),
    "vit": lambda: keras_cct.ViTLite(**SMALL, patch_size=2),
}


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype="uint8")


@pytest.mark.parametrize("family", MODELS)
def test_pooled_features_are_the_inputs_of_the_head(family):
    model = MODELS[family]()
    pooled = keras_cct.features(model)(images())["pooled"]
    np.testing.assert_allclose(to_numpy(model.get_layer("head")(pooled)), to_numpy(model(images())), atol=1e-6)


@pytest.mark.parametrize("family", MODELS)
def test_grids_hold_the_tokens_in_row_major_order(family):
    model = MODELS[family]()
    found = keras_cct.features(model, layers=["tokenizer", "block_0", "norm"])(images())
    for name, grid in found.items():
        assert grid.shape == (2, 4, 6, 8)
        tokens = keras.Model(model.input, model.get_layer(name).output)(images())
        tokens = to_numpy(tokens)[:, 1:] if family == "vit" and name != "tokenizer" else to_numpy(tokens)
        np.testing.assert_allclose(to_numpy(grid)[1, 2, 3], tokens[1, 2 * 6 + 3], atol=1e-6)


def test_features_work_on_models_without_head_and_survive_saving(tmp_path):
    backbone = keras_cct.features(keras_cct.CCT(**SMALL, include_top=False), layers=["block_1", "pooled"])
    backbone.save(tmp_path / "features.keras")
    reloaded = keras.models.load_model(tmp_path / "features.keras")
    for name, value in backbone(images()).items():
        np.testing.assert_array_equal(to_numpy(reloaded(images())[name]), to_numpy(value))


def test_shapes_are_known_by_name():
    backbone = keras_cct.features(keras_cct.CCT(**SMALL), layers=["block_1", "pooled"])
    shapes = {name: output.shape for name, output in backbone.output.items()}
    assert shapes == {"block_1": (None, 4, 6, 8), "pooled": (None, 8)}


def test_unknown_features_are_refused():
    message = "model .* has no features 'block_7'. Choose from tokenizer, block_0, block_1, norm, pooled"
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.features(keras_cct.CCT(**SMALL), layers=["block_7"])
    with pytest.raises(keras_cct.InputError, match="layers='norm' is not a list of names"):
        keras_cct.features(keras_cct.CCT(**SMALL), layers="norm")
