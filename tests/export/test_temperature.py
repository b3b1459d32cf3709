import numpy as np
import pytest

import keras_cct
from keras_cct.data.images import LabeledImages
from keras_cct.evaluation.calibration import apply_temperature
from keras_cct.export.settings import ExportSettings
from keras_cct.export.temperature import resolve_temperature
from keras_cct.inference.metadata import ArtifactMetadata

NAMES = ("cat", "dog", "fish")


@pytest.fixture(scope="module")
def model():
    model = keras_cct.create_model("cvt_2_4_32", input_shape=(8, 8, 3), num_classes=3, class_names=NAMES)
    model.get_layer("head").kernel.assign(np.random.default_rng(0).standard_normal((128, 3)))
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images = LabeledImages(rng.integers(0, 256, (40, 8, 8, 3), dtype="uint8"), rng.integers(0, 3, 40), NAMES)
    return images, images


@pytest.mark.slow
@pytest.mark.tensorflow
def test_artifacts_return_the_probabilities_of_divided_logits(model, data, tmp_path):
    pytest.importorskip("tf2onnx", reason="the runtimes are extras")
    images = data[0].images
    before = keras_cct.KerasPredictor(model).probabilities(images)
    keras_cct.export_model(model, tmp_path / "exported", ("savedmodel", "onnx"), temperature=2.5)
    np.testing.assert_array_equal(keras_cct.KerasPredictor(model).probabilities(images), before)
    expected = apply_temperature(before, 2.5)
    assert np.abs(expected - before).max() > 0.05
    for name in ("saved_model", "model.onnx"):
        exported = keras_cct.load_predictor(tmp_path / "exported" / name).probabilities(images)
        np.testing.assert_allclose(exported, expected, atol=1e-5)
    (metadata,) = tmp_path.rglob("metadata.json")
    assert ArtifactMetadata.from_json(metadata.read_text(), tmp_path).temperature == 2.5


def test_auto_is_the_temperature_of_the_evaluation(model, data):
    settings = ExportSettings(temperature="auto", data=data)
    assert resolve_temperature(model, settings) == keras_cct.evaluate(model, data[1]).temperature > 1
    with pytest.raises(keras_cct.InputError, match="requires evaluation images of the model's classes"):
        resolve_temperature(model, ExportSettings(temperature="auto"))
    assert resolve_temperature(model, ExportSettings()) is None


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), 1000, "hot", True])
def test_other_temperatures_are_refused(temperature):
    with pytest.raises(keras_cct.InputError, match="temperature must be a number in"):
        ExportSettings(temperature=temperature)


def test_metadata_of_earlier_versions_have_no_temperature():
    text = ArtifactMetadata("cvt", (8, 8, 3)).to_json().replace('"temperature": null, ', "")
    assert "temperature" not in text
    assert ArtifactMetadata.from_json(text, "artifact").temperature is None
