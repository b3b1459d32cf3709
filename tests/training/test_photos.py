"""From a folder of photos without a split to a model that predicts the same everywhere, on the command line."""

import collections
import csv
import logging
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded
from fixtures.photos import CLASSES, TURNED, UPSIDE_DOWN, photo_folder, scene, turned

import keras_cct
from keras_cct.cli import main
from keras_cct.data.images import EncodedImages
from keras_cct.data.pipeline import evaluation_batches
from keras_cct.inference.image_files import read_image
from keras_cct.inference.prediction import predict

pytestmark = pytest.mark.tensorflow
FLAGS = ["--epochs", "2", "--img-size", "32", "--warmup-epochs", "0", "--lr", "1e-3", "--class-weights", "balanced"]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def logged(photos, tmp_path_factory) -> tuple[Path, list[str]]:
    """A trained run, and its log."""
    run, handler = tmp_path_factory.mktemp("runs") / "run", _Lines()
    logger = logging.getLogger("keras_cct")
    logger.addHandler(handler)
    try:
        assert main(["train", str(photos), *FLAGS, "--output", str(run)]) == 0
    finally:
        logger.removeHandler(handler)
    return run, handler.lines


@pytest.fixture(scope="module")
def run(logged) -> Path:
    return logged[0]


def probabilities_of(predictor, contents: list[bytes]) -> np.ndarray:
    """Returns the probabilities of `predict`, in the order of the classes."""
    predictions = predict(predictor, contents, top=None)
    return np.array([[share for _, share in sorted(prediction.classes)] for prediction in predictions])


def test_every_readable_photo_is_in_one_split(run, photos):
    with (run / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    readable = {
        str(path.relative_to(photos))
        for path in photos.rglob("*.*")
        if path.name not in ("broken.jpg", "empty.png", "notes.txt")
    }
    assert len(rows) == len(readable) == 183
    assert {row["path"] for row in rows} == readable
    for name in CLASSES:
        held_out = sum(row["split"] == "validation" for row in rows if row["class"] == name)
        assert 0 < held_out < 30


def test_the_log_says_what_was_left_out_and_what_comes_next(logged):
    run, lines = logged
    assert sum("left out 1 file not named like images (1 .txt)" in line for line in lines) == 1
    (unreadable,) = [line for line in lines if "that cannot be read" in line]
    assert "broken.jpg'" in unreadable
    assert "empty.png'" in unreadable
    with (run / "split.csv").open() as file:
        splits = collections.Counter(row["split"] for row in csv.DictReader(file))
    assert f"{splits['train']} training and {splits['validation']} evaluation images of 3 classes" in lines
    (weights,) = [line for line in lines if line.startswith("class weights from ")]
    rarest, commonest = re.findall(r"\((\w+)\)", weights)
    assert {rarest, commonest} <= set(CLASSES)
    epochs = [line for line in lines if line.startswith("epoch ") and "validation loss" in line]
    assert len(epochs) == 2
    assert not any("top-5" in line for line in epochs)
    assert lines[-2].startswith("best epoch ")
    assert lines[-1].startswith(f"next: `keras_cct predict {run} IMAGE")


def test_turned_phone_photos_are_predicted_as_upright_ones(run):
    predictor = keras_cct.load_predictor(run / "best.keras")
    for orientation in (TURNED, UPSIDE_DOWN):
        scenes = [scene(name, number, 60, 90) for name in CLASSES for number in range(500, 504)]
        upright = probabilities_of(predictor, [encoded(image, "PNG") for image in scenes])
        as_stored = probabilities_of(predictor, [turned(image, orientation, "PNG") for image in scenes])
        np.testing.assert_array_equal(as_stored, upright)
        assert np.mean(np.argmax(upright, axis=1) == np.repeat(range(3), 4)) > 0.8


@pytest.mark.slow
def test_a_photo_has_the_same_probabilities_everywhere(run, photos, tmp_path):
    paths = [photos / "brick" / f"IMG_{number}.{suffix}" for number, suffix in enumerate(("jpg", "jpeg", "JPG", "png"))]
    paths += [photos / "sky" / name for name in ("IMG_4.webp", "IMG_7.tiff", "gray.png")]
    model = keras.models.load_model(run / "best.keras")
    data = EncodedImages(list(map(str, paths)), np.zeros(len(paths), "int64"), tuple(sorted(CLASSES)))
    recipe = keras_cct.load_recipe(run / "recipe.yml")
    (batch,) = evaluation_batches(data, recipe, model.input_shape[1:], len(paths))
    in_training = tf.nn.softmax(model(batch[0], training=False)).numpy()
    contents = [path.read_bytes() for path in paths]
    pixels = np.stack([read_image(content, model.input_shape[1:]) for content in contents])
    np.testing.assert_array_equal(pixels, batch[0])
    artifacts = {"keras": run / "best.keras", "savedmodel": run / "saved_model"}
    for name, package in (("onnx", "onnxruntime"), ("openvino", "openvino"), ("litert", "ai_edge_litert")):
        pytest.importorskip(package)
        artifacts[name] = tmp_path / {"onnx": "a.onnx", "openvino": "a", "litert": "a.tflite"}[name]
        keras_cct.export_model(run, artifacts[name], name)
    for name, artifact in artifacts.items():
        found = probabilities_of(keras_cct.load_predictor(artifact), contents)
        np.testing.assert_allclose(found, in_training, atol=1e-5, err_msg=name)
    served = tf.saved_model.load(str(run / "saved_model")).signatures["serve_encoded"]
    (argument,) = served.structured_input_signature[1]
    found = served(**{argument: tf.constant(contents[:4])})["probabilities"]
    np.testing.assert_allclose(found, in_training[:4], atol=1e-5)


def test_a_run_is_evaluated_on_its_own_images_and_on_any_folder(run, photos, capsys, caplog, tmp_path):
    assert main(["evaluate", str(run)]) == 0
    with (run / "split.csv").open() as file:
        count = sum(row["split"] == "validation" for row in csv.DictReader(file))
    assert f"{count} images" in capsys.readouterr().out
    assert "have trained the model" not in caplog.text
    assert main(["evaluate", str(run), str(photos)]) == 0
    assert "183 images" in capsys.readouterr().out
    assert f"{183 - count} of these 183 images have trained the model" in caplog.text
    caplog.clear()
    assert main(["evaluate", str(run), str(shutil.copytree(photos, tmp_path / "moved"))]) == 0
    assert f"{183 - count} of these 183 images have trained the model" in caplog.text
