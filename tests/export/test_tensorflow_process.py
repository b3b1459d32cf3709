import keras
import numpy as np
import pytest

import keras_cct
from keras_cct.inference.artifacts import ARTIFACT_NAMES, FORMATS
from keras_cct.inference.keras_model import KerasPredictor

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="needs no process"),
    # On each push JAX starts these processes; the end of each run starts one from PyTorch, too.
    *([pytest.mark.slow] if keras.backend.backend() == "torch" else []),
]


# One process per format. Training ends with a SavedModel: see training/test_run.py.
@pytest.mark.parametrize("formats", [("litert",), pytest.param(FORMATS, marks=pytest.mark.slow)], ids=str)
def test_models_of_every_backend_are_exported_to_every_format(formats, tmp_path):
    for package in ("tf2onnx", "onnxruntime", "openvino", "ai_edge_litert"):
        pytest.importorskip(package, reason="the runtimes are extras")
    model = keras_cct.create_model("vit_2_4_32", input_shape=(8, 8, 3), num_classes=2, class_names=["cat", "dog"])
    files = [tmp_path / "exported" / ARTIFACT_NAMES[name] for name in formats]
    output = files[0] if len(files) == 1 else tmp_path / "exported"
    keras_cct.export_model(model, output, formats)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype="uint8")
    expected = KerasPredictor(model).probabilities(images)
    for file in files:
        predictor = keras_cct.load_predictor(file)
        np.testing.assert_allclose(predictor.probabilities(images), expected, atol=1e-4, err_msg=file.name)
        assert predictor.class_names == ("cat", "dog")


def test_errors_of_the_process_are_raised_here(tmp_path):
    pytest.importorskip("tf2onnx")
    model = keras_cct.create_model("manifold_cct_2_3x2_32", input_shape=(8, 8, 3))
    with pytest.raises(keras_cct.InputError, match="^model 'manifold_cct_2_3x2_32' factorizes matrices"):
        keras_cct.export_model(model, tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []
