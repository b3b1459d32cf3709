import numpy as np
import pytest

import keras_cct
from keras_cct.inference.keras_model import KerasPredictor

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype="uint8")


@pytest.fixture
def model_file(tmp_path):
    model = keras_cct.create_model("cct_2_3x2_32", input_shape=(8, 8, 3), num_classes=2, class_names=["cat", "dog"])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_a_keras_file_is_exported_to_the_chosen_runtime(model_file):
    predictor = keras_cct.load_predictor(model_file, "savedmodel")
    assert not isinstance(predictor, KerasPredictor)
    expected = keras_cct.load_predictor(model_file, "keras").probabilities(IMAGES)
    np.testing.assert_allclose(predictor.probabilities(IMAGES), expected, atol=1e-4)
    assert [path.name for path in model_file.parent.iterdir()] == ["model.keras"]


def test_an_artifact_of_another_runtime_is_refused(model_file, tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(keras_cct.InputError, match="artifact of onnx, not of openvino"):
        keras_cct.load_predictor(tmp_path / "model.onnx", "openvino")
    with pytest.raises(keras_cct.InputError, match="runtime must be one of keras, savedmodel"):
        keras_cct.load_predictor(model_file, "tensorrt")


def test_bfloat16_is_for_openvino(model_file):
    with pytest.raises(keras_cct.InputError, match="compute_dtype='bfloat16' is not supported by keras"):
        keras_cct.load_predictor(model_file, compute_dtype="bfloat16")
    with pytest.raises(keras_cct.InputError, match="compute_dtype must be float32 or bfloat16, got 'float64'"):
        keras_cct.load_predictor(model_file, compute_dtype="float64")
