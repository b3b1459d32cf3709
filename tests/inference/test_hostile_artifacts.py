"""Artifacts whose metadata lie are one error, and predictors never answer with a class for an impossible image."""

import json
import os
import shutil

import numpy as np
import pytest
from fixtures.artifacts import CLASS_NAMES, IMAGE_SHAPE, PACKAGES, export_small_model, with_metadata

import keras_cct
from keras_cct.errors import MAX_MESSAGE_LENGTH
from keras_cct.inference.artifacts import ARTIFACT_NAMES, FORMATS, saved_model_folder

for package in PACKAGES:
    pytest.importorskip(package, reason="the runtimes are extras")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return export_small_model(tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module", params=FORMATS)
def predictor(request, artifacts):
    return keras_cct.load_predictor(artifacts / ARTIFACT_NAMES[request.param])


def test_empty_batch_is_an_empty_result(predictor):
    assert predictor.probabilities(np.zeros((0, *IMAGE_SHAPE), "uint8")).shape == (0, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pixels_that_are_not_finite_are_refused(value, dtype, predictor):
    images = np.zeros((2, *IMAGE_SHAPE), dtype)
    images[1, 3, 3] = value
    with pytest.raises(keras_cct.InputError, match="pixels that are NaN or infinite"):
        predictor.probabilities(images)


@pytest.mark.parametrize("shape", [(2, 8, 8, 2), (2, 8, 8, 3), (2, 8, 16, 1), (2, 16, 8, 1), (8, 8, 1), (0,)])
def test_images_of_another_shape_are_refused(shape, predictor):
    with pytest.raises(keras_cct.InputError, match="images have shape"):
        predictor.probabilities(np.zeros(shape, "uint8"))


def test_served_signature_returns_nan_for_pixels_that_are_not_finite(artifacts):
    import tensorflow as tf

    served = tf.saved_model.load(saved_model_folder(artifacts / ARTIFACT_NAMES["savedmodel"])).signatures[
        "serving_default"
    ]
    images = np.zeros((3, *IMAGE_SHAPE), "float32")
    images[1, 2, 2], images[2, 2, 2] = np.nan, np.inf
    probabilities = served(images=tf.constant(images))["probabilities"].numpy()
    np.testing.assert_allclose(probabilities[0].sum(), 1, atol=1e-6)
    assert np.isnan(probabilities[1:]).all()


def assert_refused(path, message):
    with pytest.raises(keras_cct.InputError, match=message) as error:
        keras_cct.load_predictor(path)
    assert path.name[-20:] in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) <= MAX_MESSAGE_LENGTH


def edited(**fields):
    return lambda text: json.dumps(json.loads(text) | fields)


LIES = {
    "two class names": (edited(class_names=["ant", "bee"]), "2 class names for 3 classes"),
    "many class names": (edited(class_names=[str(i) for i in range(10_000)]), "10000 class names for 3 classes"),
    "class names of a string": (edited(class_names="ant"), "class_names must be a list"),
    "numbers as class names": (edited(class_names=[1, 2, 3]), "class_names must be a list"),
    "class names of two lines": (edited(class_names=["a\nb", "c", "d"]), "single-line"),
    "control characters in class names": (edited(class_names=["a", "\x1b[2J", "c"]), "without control characters"),
    "another image shape": (edited(image_shape=[8, 16, 1]), "takes images of shape"),
    "two channels": (edited(image_shape=[8, 8, 2]), "takes images of shape"),
    "huge image shape": (edited(image_shape=[10**30, 8, 1]), "image_shape must be at most"),
    "negative image shape": (edited(image_shape=[-8, 8, 1]), "image_shape"),
    "infinite image shape": (lambda text: text.replace("[8, 8, 1]", "[1e999, 8, 1]"), "image_shape"),
    "long integer": (lambda text: text.replace("[8, 8, 1]", f"[{'9' * 5000}, 8, 1]"), "complete artifact"),
    "another batch size": (edited(batch_size=7), "takes images of shape"),
    "text as batch size": (edited(batch_size="all"), "batch_size"),
    "a list as recipe": (edited(recipe=["lr"]), "recipe must be text"),
    "deep metadata": (lambda _: "[" * 100_000, "complete artifact"),
    "large metadata": (lambda text: text.replace('"model": "', '"model": "' + "x" * 2_000_000), "more than 1,000,000"),
    "no metadata": (lambda _: "", "complete artifact"),
    "a list": (lambda _: "[1]", "complete artifact"),
}


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
@pytest.mark.parametrize("lie", LIES)
def test_metadata_that_do_not_describe_the_model_are_refused(lie, name, artifacts, tmp_path):
    change, message = LIES[lie]
    assert_refused(with_metadata(artifacts, name, tmp_path, change), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: names + "more\n", "has 4 names for 3 classes"),
        (lambda _: "ant\nbee\n", "has 2 names for 3 classes"),
        (lambda _: "ant\n\x1b[2J\ncow\n", "without control characters"),
        (lambda names: names * 200_000, "more than 1,000,000 bytes"),
    ],
)
def test_class_names_of_a_saved_model_are_one_per_class(change, message, artifacts, tmp_path):
    assert_refused(with_metadata(artifacts, "savedmodel", tmp_path, change), message)


def test_class_names_of_a_saved_model_are_in_its_folder(artifacts, tmp_path):
    path = with_metadata(artifacts, "savedmodel", tmp_path, str)
    names = saved_model_folder(path) / "assets" / "class_names.txt"
    names.rename(path / "names.txt")
    names.symlink_to(path / "names.txt")
    assert_refused(path, "class names is outside of its folder")
    names.unlink()
    shutil.copy(path / "names.txt", names)
    assert keras_cct.load_predictor(path).class_names == CLASS_NAMES
    program = saved_model_folder(path) / "saved_model.pb"
    program.write_bytes(program.read_bytes().replace(b"class_names.txt", b"../../names.txt"))
    assert_refused(path, "class names is outside of its folder")


def test_class_names_of_a_saved_model_are_utf_8(artifacts, tmp_path):
    path = with_metadata(artifacts, "savedmodel", tmp_path, str)
    (saved_model_folder(path) / "assets" / "class_names.txt").write_bytes(b"ant\nb\xff\ncow\n")
    assert_refused(path, "is not a complete artifact")


@pytest.mark.parametrize("name", FORMATS)
def test_pipes_and_devices_are_refused_without_reading(name, artifacts, tmp_path):
    path = with_metadata(artifacts, name, tmp_path, str)
    files = {"savedmodel": ["1/variables/variables.index", "1/assets/class_names.txt"], "openvino": ["model.bin"]}
    for number, file in enumerate(path / part for part in files.get(name, [""])):
        file.unlink()
        os.mkfifo(file) if number % 2 == 0 else file.symlink_to("/dev/zero")
        with pytest.raises(keras_cct.InputError, match="is not a regular file"):
            keras_cct.load_predictor(path)
        file.unlink()


def test_path_that_is_too_long_is_refused(tmp_path):
    assert_refused(tmp_path / f"{'n' * 300}.onnx", "no model at")
