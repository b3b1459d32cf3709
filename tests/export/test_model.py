import dataclasses
import importlib.util
import json
import subprocess
import sys
import types
import zipfile

import keras
import numpy as np
import pytest

import keras_cct
from keras_cct.data.images import LabeledImages
from keras_cct.errors import VerificationError
from keras_cct.export import verification
from keras_cct.export.settings import ExportSettings
from keras_cct.inference.artifacts import ARTIFACT_NAMES, FORMATS
from keras_cct.inference.keras_model import KerasPredictor

pytestmark = pytest.mark.tensorflow
for package in ("tf2onnx", "onnxruntime", "openvino", "nncf", "ai_edge_litert"):
    pytest.importorskip(package, reason="the runtimes are extras")

CONVERTED = ("onnx", "openvino", "litert")
CLASS_NAMES = ("cat", "dog", "fish")
FAMILIES = {
    "cct": {"kernel_size": 3, "num_conv_layers": 1},
    "cvt": {"patch_size": 4},
    "vit": {"patch_size": 4},
    "spd": {"patch_size": 4, "attention_type": "spd"},
}


def tiny_model(family: str = "cct", **fields) -> keras.Model:
    settings = {"num_layers": 1} | FAMILIES[family] | fields
    family = "cvt" if family == "spd" else family
    config = keras_cct.ModelConfig(family, (12, 16, 3), 3, num_heads=2, dim=8, class_names=CLASS_NAMES, **settings)
    model = keras_cct.build_model(config)
    # Larger weights spread the probabilities, so that a wrong one shows.
    model.get_layer("head").kernel.assign(np.random.default_rng(0).standard_normal((8, 3)))
    return model


def random_images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 12, 16, 3), dtype="uint8")


@pytest.fixture(
    scope="module", params=["cct", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cvt", "vit", "spd"))]
)
def exported(request, tmp_path_factory):
    """Returns a model, a folder of its artifacts in float32, and one in float16."""
    folder = tmp_path_factory.mktemp("exported")
    model = tiny_model(request.param)
    keras_cct.export_model(model, folder / "float32", FORMATS)
    keras_cct.export_model(model, folder / "float16", CONVERTED, dtype="float16")
    return model, folder


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_format_equals_keras(exported, dtype):
    model, folder = exported
    images = random_images()
    expected = KerasPredictor(model).probabilities(images)
    for name in FORMATS if dtype == "float32" else CONVERTED:
        predictor = keras_cct.load_predictor(folder / dtype / ARTIFACT_NAMES[name])
        tolerance = {"float32": 1e-4, "float16": 5e-3}[dtype]
        np.testing.assert_allclose(predictor.probabilities(images), expected, atol=tolerance, err_msg=name)
        assert (predictor.image_shape, predictor.class_names) == ((12, 16, 3), CLASS_NAMES)
        assert predictor.probabilities(images[:0]).shape == (0, 3)


@pytest.mark.slow
def test_a_deep_model_is_exported_with_all_its_weights(tmp_path):
    model = tiny_model("cvt", num_layers=12)
    keras_cct.export_model(model, tmp_path / "openvino", "openvino")
    found = keras_cct.load_predictor(tmp_path / "openvino").probabilities(random_images())
    np.testing.assert_allclose(found, KerasPredictor(model).probabilities(random_images()), atol=1e-4)


def test_float16_halves_the_weights(exported):
    def size(folder: str, name: str) -> int:
        path = exported[1] / folder / ARTIFACT_NAMES[name]
        return (path / "model.bin" if path.is_dir() else path).stat().st_size

    assert size("float16", "openvino") < 0.6 * size("float32", "openvino")


RUN_ALONE = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(path)
metadata = session.get_modelmeta().custom_metadata_map["keras_cct"]
run = lambda pixels: session.run(["probabilities"], {"images": pixels})[0]
""",
    "openvino": """
import openvino
core = openvino.Core()
model = core.read_model(path + "/model.xml")
metadata = model.get_rt_info(["keras_cct", "metadata"]).astype(str)
compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
run = lambda pixels: compiled({"images": pixels})["probabilities"]
""",
    "litert": """
import zipfile
from ai_edge_litert.interpreter import Interpreter
metadata = zipfile.ZipFile(path).read("metadata.json")
interpreter = Interpreter(path)
interpreter.allocate_tensors()
(source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
def run(pixels):
    rows = []
    for row in pixels:
        interpreter.set_tensor(source["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0])
    return numpy.array(rows)
assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["images"], "outputs": ["probabilities"]}}
""",
}
RUN_AND_CHECK = """
import json, sys
import numpy
path, images, outputs, class_names = sys.argv[1:]
{program}
images = numpy.load(images)
numpy.save(outputs, run(images))
assert json.loads(metadata)["class_names"] == class_names.split(",")
assert json.loads(metadata)["pixel_range"] == [0, 255]
height, width, channels = images.shape[1:]
for shape in ((1, 2 * height, width, channels), (1, height, width, 2), (4, height // 2, width // 2, channels)):
    try:
        run(numpy.zeros(shape, "float32"))
    except Exception as error:
        continue
    raise SystemExit(f"shape {{shape}} did not fail")
assert not {{"keras", "tensorflow", "keras_cct", "torch", "jax"}} & set(sys.modules)
"""


def run_alone(name: str, folder, images: np.ndarray, class_names: tuple[str, ...], tmp_path) -> np.ndarray:
    """Returns the probabilities of an artifact in a process with its runtime and NumPy only."""
    np.save(tmp_path / "images.npy", images.astype("float32"))
    program = RUN_AND_CHECK.format(program=RUN_ALONE[name])
    paths = [folder / ARTIFACT_NAMES[name], tmp_path / "images.npy", tmp_path / "outputs.npy"]
    command = [sys.executable, "-c", program, *map(str, paths), ",".join(class_names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "outputs.npy")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float16", 5e-3)])
@pytest.mark.parametrize("name", CONVERTED)
def test_artifacts_run_with_their_runtime_and_numpy_alone_and_refuse_other_shapes(
    exported, name, dtype, tolerance, tmp_path
):
    model, folder = exported
    found = run_alone(name, folder / dtype, random_images(), CLASS_NAMES, tmp_path)
    np.testing.assert_allclose(found, KerasPredictor(model).probabilities(random_images()), atol=tolerance)


@pytest.fixture(scope="module")
def fashion_model():
    return keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")


@pytest.fixture(scope="module")
def quantized(fashion_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized") / "int8"
    return folder, keras_cct.export_model(fashion_model, folder, CONVERTED, dtype="int8")


@pytest.mark.slow
def test_int8_agrees_with_keras_on_the_sample(fashion_model, quantized):
    folder, reports = quantized
    images = keras_cct.load_sample("test").images
    expected = KerasPredictor(fashion_model).probabilities(images).argmax(axis=1)
    for report in reports:
        predictor = keras_cct.load_predictor(folder / ARTIFACT_NAMES[report.format])
        agreement = np.mean(predictor.probabilities(images).argmax(axis=1) == expected)
        assert agreement >= 0.98, report.format
        assert report.keras_top1 == pytest.approx(94.7)
        assert report.top1 >= report.keras_top1 - 1
        assert report.num_bytes < 0.65e6  # 1.1 MB in float32


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED)
def test_int8_artifacts_run_with_their_runtime_and_numpy_alone(fashion_model, quantized, name, tmp_path):
    images = keras_cct.load_sample("test").images[:64]
    found = run_alone(name, quantized[0], images, fashion_model.get_layer("head").class_names, tmp_path)
    expected = keras_cct.load_predictor(quantized[0] / ARTIFACT_NAMES[name]).probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_reports_are_one_line_with_size_difference_agreement_latency_and_accuracy(quantized):
    for report in quantized[1]:
        line = str(report)
        assert "\n" not in line
        assert line.startswith(f"{quantized[0] / ARTIFACT_NAMES[report.format]}: 0.")
        for part in ("MB, largest difference", "top-1 agreement", "of 64 images", "latency", "(Keras 94.70 %)"):
            assert part in line


def test_int8_that_loses_accuracy_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    from keras_cct.export import model as export_module

    data = LabeledImages(random_images(8), np.arange(8) % 3, CLASS_NAMES)
    accuracies = iter([types.SimpleNamespace(top1=89.2), types.SimpleNamespace(top1=88.1)])
    monkeypatch.setattr(export_module, "evaluate", lambda *_: next(accuracies))
    with pytest.raises(keras_cct.InputError, match="onnx from 89.20 % to 88.10 %"):
        keras_cct.export_model(tiny_model(), tmp_path / "model.onnx", "onnx", dtype="int8", data=(data, data))
    assert list(tmp_path.iterdir()) == []


def test_int8_requires_images_of_the_classes_of_the_model(fashion_model, tmp_path):
    with pytest.raises(keras_cct.InputError, match="int8.*`data`"):
        keras_cct.export_model(tiny_model(), tmp_path / "model.onnx", "onnx", dtype="int8")
    sample = keras_cct.load_sample("test")
    other = dataclasses.replace(sample, labels=sample.labels % 3, class_names=CLASS_NAMES)
    with pytest.raises(keras_cct.InputError, match="10 classes, but the dataset has 3"):
        keras_cct.export_model(fashion_model, tmp_path / "model.onnx", "onnx", dtype="int8", data=(other, other))
    few = LabeledImages(sample.images[:4], sample.labels[:4], sample.class_names)
    settings = {"dtype": "int8", "data": (few, few), "batch_size": 8}
    with pytest.raises(keras_cct.InputError, match="batch_size=8 images, got 4"):
        keras_cct.export_model(fashion_model, tmp_path / "model.onnx", "onnx", **settings)


def test_a_fixed_batch_size_holds_in_every_format_and_predictors_take_any_number(tmp_path):
    model = tiny_model()
    keras_cct.export_model(model, tmp_path / "out", FORMATS, batch_size=2)
    images = random_images(5)
    expected = KerasPredictor(model).probabilities(images)
    for file in ARTIFACT_NAMES.values():
        predictor = keras_cct.load_predictor(tmp_path / "out" / file)
        np.testing.assert_allclose(predictor.probabilities(images), expected, atol=1e-4, err_msg=file)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    assert session.get_inputs()[0].shape == [2, 12, 16, 3]


def test_the_recipe_of_a_run_is_in_the_metadata(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yml").write_text("model: cct_2\nlr: 1.0e-3  # é\n", encoding="utf-8")
    tiny_model().save(tmp_path / "run" / "best.keras")
    keras_cct.export_model(tmp_path / "run", tmp_path / "model.tflite", "litert", class_names=["a", "b", "c"])
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        metadata = json.loads(archive.read("metadata.json"))
        assert archive.read("labels.txt") == b"a\nb\nc\n"
    assert metadata["recipe"] == "model: cct_2\nlr: 1.0e-3  # é\n"
    assert (metadata["image_shape"], metadata["batch_size"], metadata["dtype"]) == ([12, 16, 3], 1, "float32")


@pytest.mark.parametrize(
    ("content", "message"), [(b"lr: \xff", "Save it as UTF-8"), (b"# " + b"x" * 200_000, "more than 100000 bytes")]
)
def test_a_recipe_that_is_not_text_is_refused(content, message, tmp_path):
    (tmp_path / "recipe.yml").write_bytes(content)
    (tmp_path / "best.keras").touch()
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.export_model(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_models_in_mixed_precision_are_exported_in_float32(dtype, tmp_path):
    model = tiny_model(dtype=dtype)
    keras_cct.export_model(model, tmp_path / "model.tflite", "litert")
    same_weights = tiny_model()
    same_weights.set_weights(model.get_weights())
    expected = KerasPredictor(same_weights).probabilities(random_images())
    predictor = keras_cct.load_predictor(tmp_path / "model.tflite")
    np.testing.assert_allclose(predictor.probabilities(random_images()), expected, atol=1e-4)
    assert predictor.class_names == CLASS_NAMES


@pytest.mark.parametrize(
    "variant", ["manifold_cct_2_3x2_32", pytest.param("grassmanian_vit_2_4_32", marks=pytest.mark.slow)]
)
def test_factorizations_are_refused_by_all_formats_but_savedmodel(variant, tmp_path):
    model = keras_cct.create_model(variant, input_shape=(8, 8, 3), num_layers=1)
    for name, file in (("onnx", "m.onnx"), ("openvino", "m"), ("litert", "m.tflite")):
        with pytest.raises(keras_cct.InputError, match="factorizes matrices .*savedmodel.*'spd'"):
            keras_cct.export_model(model, tmp_path / file, name)
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_that_differs_from_keras_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(verification.TOLERANCES, "float32", -1.0)
    with pytest.raises(VerificationError, match="the onnx artifact differs from Keras by"):
        keras_cct.export_model(tiny_model(), tmp_path / "model.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_overwriting_replaces_artifacts_and_nothing_else(tmp_path):
    model, output = tiny_model(), tmp_path / "out"
    keras_cct.export_model(model, output, ["savedmodel", "litert"])
    with pytest.raises(keras_cct.InputError, match="exists already"):
        keras_cct.export_model(model, output, "savedmodel")
    keras_cct.export_model(model, output, "savedmodel", overwrite=True)
    assert keras_cct.load_predictor(output).class_names == CLASS_NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(keras_cct.InputError, match="contains files other than one artifact per format"):
        keras_cct.export_model(model, tmp_path, "savedmodel", overwrite=True)


@pytest.mark.parametrize(("name", "missing"), [("onnx", "tf2onnx"), ("openvino", "nncf"), ("litert", "ai_edge_litert")])
def test_a_missing_extra_is_named_with_its_command(name, missing, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == missing else find_spec(package))
    with pytest.raises(keras_cct.InputError, match=rf"requires {missing}.* `pip install 'keras_cct\[{name}\]'`"):
        ExportSettings((name,), "int8").check_packages()
