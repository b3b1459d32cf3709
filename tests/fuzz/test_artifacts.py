"""Corrupted artifacts, images and run folders end in success or in one InputError; see `test_readers`."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from fixtures.artifacts import PACKAGES, export_small_model
from fixtures.image_headers import IMAGES
from fuzz.mutations import fuzz_reader

import keras_cct
from keras_cct.data.images import EncodedImages
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.inference.image_files import read_image
from keras_cct.inference.metadata import ArtifactMetadata
from keras_cct.recipe.loading import load_recipe


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    for package in PACKAGES:
        pytest.importorskip(package, reason="the runtimes are extras")
    return export_small_model(tmp_path_factory.mktemp("exported"))


def open_and_predict(path):
    predictor = keras_cct.load_predictor(path)
    predictor.probabilities(np.zeros((2, *predictor.image_shape), "uint8"))


def naming_the_file(read, path):
    """Adds the name of the file to errors, which name its folder or a value in it."""
    try:
        read(path)
    except keras_cct.InputError as error:
        raise keras_cct.InputError(f"{path.name}: {str(error)[:400]}") from error


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_artifacts_of_one_file(name, artifacts, tmp_path):
    fuzz_reader((artifacts / name).read_bytes(), tmp_path / f"fuzzed-{name}", open_and_predict)


FILES = ["openvino/model.xml", "openvino/model.bin", "saved_model/1/saved_model.pb"]


@pytest.mark.parametrize("file", FILES)
def test_files_in_artifact_folders(file, artifacts, tmp_path):
    folder, _, name = file.partition("/")
    shutil.copytree(artifacts / folder, tmp_path / folder)

    def read(path):
        naming_the_file(lambda _: open_and_predict(tmp_path / folder), path)

    fuzz_reader((artifacts / file).read_bytes(), tmp_path / folder / name, read)


def test_metadata_of_artifacts(tmp_path):
    good = ArtifactMetadata("cct", (8, 8, 1), ("ant", "élan"), batch_size=2, recipe="lr: 1\n").to_json().encode()
    fuzz_reader(good, tmp_path / "metadata.json", lambda path: ArtifactMetadata.from_json(path.read_bytes(), path))


@pytest.mark.parametrize("name", ["png", "progressive jpeg", "gif with an extension"])
def test_image_files(name, tmp_path):
    fuzz_reader(IMAGES[name], tmp_path / "fuzzed.png", lambda path: read_image(path, (4, 4, 3)))


@pytest.mark.parametrize("name", ["png", "jpeg", "gif"])
def test_image_files_in_pipelines(name, tmp_path):
    path = tmp_path / "fuzzed.png"
    data = EncodedImages([str(path)], np.array([0]), ("a",))
    decode = tf.function(data.read)

    def read(_):
        data.unreadable.failure = None
        with raising_input_errors(data):
            decode(tf.constant(0))

    fuzz_reader(IMAGES[name], path, read)


def test_recipes_of_runs(tmp_path):
    good = load_recipe("sample").to_yaml().encode()
    fuzz_reader(good, tmp_path / "recipe.yml", lambda path: naming_the_file(load_recipe, path))
