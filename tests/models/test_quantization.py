import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct

pytestmark = [
    pytest.mark.tensorflow,
    # Keras warns of every layer that it does not quantize.
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
]

MODELS = {
    "cct": ("cct_2", {}),
    "cvt": ("cvt_2", {}),
    "vit": ("vit_2", {}),
    "all": ("manifold_cct_2", {}),
    "gm": ("cvt_2", {"attention_type": "gm"}),
    "spd": ("cvt_2", {"attention_type": "spd"}),
    "grassmann": ("grassmanian_vit_2", {}),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")


def make_model(name: str) -> keras.Model:
    variant, fields = MODELS[name]
    return keras_cct.create_model(variant, input_shape=(16, 16, 3), num_layers=1, **fields)


def predictions(model: keras.Model) -> np.ndarray:
    return to_numpy(model(IMAGES, training=False))


QUANTIZED = [(name, is_loaded) for is_loaded in (False, True) for name in MODELS]
QUANTIZED_IN_EVERY_PUSH = [("cct", True), ("vit", False), ("all", False), ("grassmann", True)]


@pytest.mark.parametrize(
    ("name", "is_loaded"),
    [pytest.param(*case, marks=() if case in QUANTIZED_IN_EVERY_PUSH else pytest.mark.slow) for case in QUANTIZED],
)
def test_a_quantized_model_is_saved_and_loaded_with_equal_predictions(name, is_loaded, tmp_path):
    model = make_model(name)
    if is_loaded:
        model.save(tmp_path / "float.keras")
        model = keras.models.load_model(tmp_path / "float.keras")
    before = predictions(model)
    model.quantize("int8")
    assert model.get_layer("block_0").mlp_in.kernel.dtype == "int8"
    assert model.get_layer("block_0").attention.projection.kernel.dtype == "int8"
    quantized = predictions(model)
    assert (quantized != before).any()
    if name != "grassmann":  # it amplifies the rounding
        np.testing.assert_allclose(quantized, before, atol=0.1)
    for generation in range(2):
        model.save(tmp_path / f"{generation}.keras")
        model = keras.models.load_model(tmp_path / f"{generation}.keras")
        np.testing.assert_array_equal(predictions(model), quantized)
    assert {str(weight.dtype) for weight in model.weights} >= {"int8"}


@pytest.mark.parametrize("mode", ["int4", "float8"])
def test_other_modes_are_saved_and_loaded(mode, tmp_path):
    model = make_model("cct")
    model.quantize(mode)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predictions(reloaded), predictions(model))


def test_quantization_configs_are_saved(tmp_path):
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)  # quantizes the weights only
    model = make_model("vit")
    model.quantize(config=config)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predictions(reloaded), predictions(model))


def test_weights_of_a_quantized_model_load_into_another(tmp_path):
    model, other = make_model("cct"), make_model("cct")
    for each in (model, other):
        each.quantize("int8")
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(predictions(other), predictions(model))


def test_a_clone_of_a_quantized_model_is_quantized():
    model = make_model("cct")
    model.quantize("int8")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(predictions(clone), predictions(model))


@pytest.mark.parametrize("ending", [".safetensors", ".weights.h5", ".keras"])
def test_integers_of_a_quantized_model_are_not_written_as_weights(ending, tmp_path):
    model = make_model("cvt")
    model.quantize("int8")
    with pytest.raises(keras_cct.InputError, match="is quantized: .*has dtype int8.*model.save"):
        keras_cct.export_torch_weights(model)
    with pytest.raises(keras_cct.InputError, match="is quantized"):
        keras_cct.save_weights_file(model, tmp_path / f"weights{ending}")
    assert list(tmp_path.iterdir()) == []
