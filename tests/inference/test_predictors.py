import sys

import numpy as np
import pytest

import keras_cct
from keras_cct.inference.artifacts import find_keras_file, find_run
from keras_cct.inference.predictors import as_predictor
from keras_cct.inference.saved_model import SavedModelPredictor
from keras_cct.training.folder import RunFolder

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype="uint8")


@pytest.fixture
def model():
    return keras_cct.create_model("cct_2_3x2_32", input_shape=(8, 8, 3), num_classes=2, class_names=["cat", "dog"])


@pytest.fixture
def run(tmp_path, model):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_recipe("model: cct_2_3x2_32")
    model.save(folder.best_model)
    return folder


def test_a_keras_file_is_loaded_with_its_class_names(run, model):
    predictor = keras_cct.load_predictor(run.best_model)
    assert (predictor.class_names, predictor.image_shape) == (("cat", "dog"), (8, 8, 3))
    probabilities = predictor.probabilities(IMAGES)
    np.testing.assert_allclose(probabilities, keras_cct.KerasPredictor(model).probabilities(IMAGES), atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.one_backend
def test_a_run_folder_is_its_saved_model_or_else_its_best_model(run, model):
    expected = keras_cct.KerasPredictor(model).probabilities(IMAGES)
    assert isinstance(keras_cct.load_predictor(run.path), keras_cct.KerasPredictor)
    keras_cct.export_saved_model(model, run.saved_model)
    predictor = keras_cct.load_predictor(str(run.path))
    assert isinstance(predictor, SavedModelPredictor)
    assert predictor.class_names == ("cat", "dog")
    np.testing.assert_allclose(predictor.probabilities(IMAGES), expected, atol=1e-4)
    assert find_keras_file(run.path) == run.best_model


def test_a_run_without_a_model_is_refused(run):
    run.best_model.unlink()
    with pytest.raises(keras_cct.InputError, match="has no model yet. .*keras_cct train --resume"):
        keras_cct.load_predictor(run.path)


def test_predictors_are_used_as_they_are_and_models_wrapped(model):
    predictor = as_predictor(model)
    assert isinstance(predictor, keras_cct.KerasPredictor)
    assert as_predictor(predictor) is predictor


def test_broken_models_are_refused(tmp_path):
    with pytest.raises(keras_cct.InputError, match="no model at .*none.keras"):
        keras_cct.load_predictor(tmp_path / "none.keras")
    keras_cct.create_model("cct_2_3x2_32").save(tmp_path / "model.keras")
    content = (tmp_path / "model.keras").read_bytes()
    for name, broken in (
        ("half.keras", content[: len(content) // 2]),
        ("holed.keras", content[:5000] + bytes(500) + content[5500:]),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(keras_cct.InputError, match=name) as error:
            keras_cct.load_predictor(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(keras_cct.InputError, match="is neither a .keras file nor an exported artifact"):
        keras_cct.load_predictor(tmp_path)


def test_models_of_normalized_images_are_refused():
    model = keras_cct.create_model("cct_2_3x2_32", normalization=None)
    with pytest.raises(keras_cct.InputError, match="takes normalized images, not pixels"):
        keras_cct.KerasPredictor(model)


def test_models_without_logits_are_refused():
    model = keras_cct.create_model("cct_2_3x2_32", include_top=False)
    with pytest.raises(keras_cct.InputError, match="does not end in class logits"):
        keras_cct.KerasPredictor(model)


def test_wrong_images_are_refused_by_every_predictor(model):
    predictor = keras_cct.KerasPredictor(model)
    for images in (np.zeros((2, 8, 9, 3)), np.zeros((8, 8, 3)), np.zeros((2, 16, 8, 3))):
        with pytest.raises(keras_cct.InputError, match="images have shape .* takes \\(batch, 8, 8, 3\\)"):
            predictor.probabilities(images)
    with pytest.raises(keras_cct.InputError, match="NaN"):
        predictor.probabilities(np.full((1, 8, 8, 3), np.nan))
    assert predictor.probabilities(IMAGES[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "package"),
    [("model.onnx", "onnxruntime"), ("model.tflite", "ai_edge_litert"), ("model.xml", "openvino")],
)
def test_broken_artifacts_are_one_line(name, package, tmp_path):
    pytest.importorskip(package)
    for content in (b"", b"no artifact", bytes(1000)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(keras_cct.InputError, match=f"{name}' is not a complete artifact") as error:
            keras_cct.load_predictor(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_broken_saved_model_is_one_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no program")
    with pytest.raises(keras_cct.InputError, match="is not a complete artifact") as error:
        keras_cct.load_predictor(tmp_path)
    assert "\n" not in str(error.value)


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_cct.inference.onnx", None)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(keras_cct.InputError, match=r"onnx is not installed.* `pip install 'keras_cct\[onnx\]'`"):
        keras_cct.load_predictor(tmp_path / "model.onnx")


@pytest.mark.tensorflow
def test_openvino_compiles_for_batch_sizes_that_recur(model, tmp_path):
    openvino = pytest.importorskip("keras_cct.inference.openvino")
    keras_cct.export_model(model, tmp_path / "model", "openvino")
    predictor, reference = keras_cct.load_predictor(tmp_path / "model"), keras_cct.KerasPredictor(model)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype="uint8")
    for size in (2, 3, 2, 3, 1, 5, 2):
        expected = reference.probabilities(images[:size])
        np.testing.assert_allclose(predictor.probabilities(images[:size]), expected, atol=1e-4)
    compiled = predictor._compile_for.cache_info()
    assert (compiled.misses, compiled.currsize) == (4, openvino.MAX_FIXED_SIZES)  # 2, 3, 1, and 2 again


def test_the_run_of_a_model_is_the_folder_with_its_recipe_and_its_best_model(tmp_path):
    checkpoint, version = tmp_path / "checkpoints" / "epoch-0001.keras", tmp_path / "deploy" / "saved_model" / "1"
    assert find_run(tmp_path / "best.keras") is None
    (tmp_path / "recipe.yml").touch()
    assert find_run(tmp_path) == find_run(tmp_path / "best.keras") == tmp_path
    assert find_run(checkpoint) is find_run(version) is None  # the recipe may be for another run
    (tmp_path / "best.keras").touch()
    assert find_run(checkpoint) == find_run(version) == tmp_path
