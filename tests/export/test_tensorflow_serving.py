"""SavedModels follow TensorFlow Serving's conventions, checked with its own protocol buffers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded, photo

import keras_cct
from keras_cct.inference.artifacts import saved_model_folder

pytestmark = pytest.mark.tensorflow
SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def model():
    return keras_cct.create_model("vit_2_4_32", input_shape=SHAPE, num_classes=2, class_names=["cat", "dog"])


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "pets"
    (report,) = keras_cct.export_model(model, folder)
    assert report.path == folder / "1"
    return folder


def warmup_requests(saved_model) -> list:
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(saved_model / "assets.extra" / "tf_serving_warmup_requests"))
    return [apis.PredictionLog.FromString(record).predict_log.request for record in records.as_numpy_iterator()]


def test_warmup_requests_call_every_signature(served):
    loaded = tf.saved_model.load(str(served / "1"))
    requests = warmup_requests(served / "1")
    assert [request.model_spec.signature_name for request in requests] == list(loaded.signatures)
    assert {request.model_spec.name for request in requests} == {"vit_2_4_32"}
    for request in requests:
        arguments = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**arguments)
        assert outputs["probabilities"].shape == (1, 2)


def test_encoded_images_have_the_input_name_that_marks_base64(served, model):
    signature = tf.saved_model.load(str(served / "1")).signatures["serve_encoded"]
    images = [encoded(photo(phase=phase), "PNG") for phase in (0, 1)]
    probabilities = signature(image_bytes=tf.constant(images))["probabilities"].numpy()
    expected = [dict(prediction.classes) for prediction in keras_cct.predict(model, images, top=None)]
    np.testing.assert_allclose(probabilities[:, 0], [classes["cat"] for classes in expected], atol=1e-3)


def test_warmup_requests_have_the_fixed_batch_size(model, tmp_path):
    keras_cct.export_model(model, tmp_path / "pets", batch_size=3)
    shapes = [request.inputs.popitem()[1].tensor_shape.dim[0].size for request in warmup_requests(tmp_path / "pets/1")]
    assert shapes == [3, 3, 3]


def test_the_latest_version_is_opened(served, tmp_path):
    folder = tmp_path / "pets"
    for version in ("2", "10"):
        shutil.copytree(served / "1", folder / version)
        (folder / version / "assets" / "class_names.txt").write_text(f"cat {version}\ndog\n")
    (folder / "11").mkdir()  # being written
    assert keras_cct.load_predictor(folder, "savedmodel").class_names == ("cat 10", "dog")
    assert keras_cct.load_predictor(folder / "2").class_names == ("cat 2", "dog")
    with pytest.raises(keras_cct.InputError, match="artifact of savedmodel, not of onnx"):
        keras_cct.load_predictor(folder, "onnx")
    with pytest.raises(keras_cct.InputError, match="'.*pets' contains files other than .* is not overwritten"):
        keras_cct.export_model(folder / "model.keras", folder, overwrite=True)


@pytest.mark.parametrize(("path", "folder"), [("pets", "pets/1"), ("pets/2", "pets/2"), ("pets/v2", "pets/v2/1")])
def test_a_path_that_ends_in_a_version_is_that_version(path, folder):
    assert saved_model_folder(Path(path)) == Path(folder)
