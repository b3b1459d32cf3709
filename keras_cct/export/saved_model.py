"""Models for serving, each compared with Keras after it is written."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_cct.data.decode import DECODABLE_CHANNELS, decode_batch
from keras_cct.errors import InputError, check_class_names
from keras_cct.files import replacing
from keras_cct.inference.predictors import check_serves_pixels
from keras_cct.inference.saved_model import SavedModel

TOLERANCE = 1e-4
"""Largest difference in a probability between an export and Keras."""


def export_saved_model(model: keras.Model, path: str | PathLike, class_names: Sequence[str] | None = None) -> None:
    """Writes a SavedModel that TensorFlow serves without Keras, loads it again and compares it with the model.

    Signatures, each answering `probabilities`, float32 of shape (batch, classes):

    * `serving_default`: `images`, float32 of shape (batch, height, width, channels), pixels of 0..255.
    * `serve_uint8`: the same for uint8.
    * `serve_encoded`: `encoded`, strings of shape (batch,), PNG or JPEG files of any size (models of 1 or 3 channels).

    The names of the classes are in `assets/class_names.txt`, one a line; in TensorFlow
    `tf.saved_model.load(path).class_names.asset_path` is that file. Under JAX and PyTorch a process with
    TensorFlow as the backend does the writing.

    Args:
        model: A model of this package, with its head.
        path: Folder to make.
        class_names: Names of the classes; those saved with the model if not given.

    Raises:
        InputError: The folder exists or cannot be written, the model has no head or takes no pixels, or the class names
            do not fit.
        RuntimeError: The SavedModel answers differently; no folder is left.
    """
    path, head = Path(path), check_serves_pixels(model)
    names = head.class_names if class_names is None else check_class_names(class_names, head.num_classes)
    if path.exists():
        raise InputError(f"{str(path)!r} exists already. Remove it or give another folder.")
    images = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:]), dtype="uint8")
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict_on_batch(images)))
    if not np.isfinite(expected).all():
        raise InputError(f"model {model.name!r} answers NaN; its weights are broken. Export an earlier one.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror}. Give another folder.") from error
    with replacing(path) as temporary:
        if keras.backend.backend() == "tensorflow":
            write_saved_model(model, temporary, names or ())
        else:
            _write_in_tensorflow_process(model, temporary, names or ())
        _compare(temporary, images, expected)


def write_saved_model(model: keras.Model, path: Path, class_names: Sequence[str]) -> None:
    """Writes the SavedModel that `export_saved_model` describes; Keras must run on TensorFlow.

    Args:
        model: A model that ends in logits.
        path: Folder to make.
        class_names: Names of the classes; empty where they are not known.

    Raises:
        InputError: The file system refuses.
    """
    image_shape = model.input_shape[1:]

    def probabilities(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = model(images, training=False)
        return {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32))}

    pixels = {dtype: tf.TensorSpec((None, *image_shape), dtype, name="images") for dtype in (tf.float32, tf.uint8)}
    encoded = tf.TensorSpec((None,), tf.string, name="encoded")
    serve = tf.function(probabilities)
    signatures = {
        "serving_default": serve.get_concrete_function(pixels[tf.float32]),
        "serve_uint8": serve.get_concrete_function(pixels[tf.uint8]),
    }
    if image_shape[-1] in DECODABLE_CHANNELS:
        serve_encoded = tf.function(lambda encoded: probabilities(decode_batch(encoded, image_shape)))
        signatures["serve_encoded"] = serve_encoded.get_concrete_function(encoded)
    module = tf.Module()
    module.variables_of_model = model.variables
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "class_names.txt")
        file.write_text("".join(f"{name}\n" for name in class_names))
        module.class_names = tf.saved_model.Asset(str(file))
        try:
            tf.saved_model.save(module, str(path), signatures=signatures)
        except tf.errors.OpError as error:
            raise InputError(f"the SavedModel cannot be written: {error.message}. Give another folder.") from error


def _compare(path: Path, images: np.ndarray, expected: np.ndarray) -> None:

    for signature, answers in SavedModel(path).answers(images).items():
        difference = float(np.abs(answers - expected).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"signature {signature} of the SavedModel differs from Keras by {difference:.2g}, more than "
                f"{TOLERANCE:g}; it was removed. Export a model that computes in float32."
            )


def _write_in_tensorflow_process(model: keras.Model, path: Path, class_names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        model.save(file)
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-m", "keras_cct.export.saved_model", str(file), str(path), *class_names]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"TensorFlow could not write the SavedModel: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
            )


if __name__ == "__main__":
    model_file, folder, *names = sys.argv[1:]
    write_saved_model(keras.models.load_model(model_file, compile=False), Path(folder), names)
