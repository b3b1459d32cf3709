"""Exports a model as a SavedModel and verifies it against Keras."""

import functools
import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_cct.data.decode import DECODABLE_CHANNELS, decode_batch
from keras_cct.errors import InputError, VerificationError, check_class_names, check_path
from keras_cct.export.tensorflow_process import call_on_tensorflow
from keras_cct.export.warmup import write_warmup_requests
from keras_cct.files import replacing
from keras_cct.inference.keras_model import KerasPredictor, check_serves_pixels, compute_in_float32
from keras_cct.inference.metadata import ENCODED_INPUT_NAME, INPUT_NAME, OUTPUT_NAME, ArtifactMetadata
from keras_cct.inference.predictor import finite_probabilities
from keras_cct.inference.saved_model import SavedModelPredictor

TOLERANCE = 1e-4
"""Maximum difference in a probability between a float32 export and Keras."""


def export_saved_model(model: keras.Model, path: str | PathLike, class_names: Sequence[str] | None = None) -> None:
    """Writes a SavedModel that TensorFlow serves without Keras, then loads it and verifies it against the model.

    Every signature returns `probabilities`, float32 of shape (batch, classes), also for an empty batch, and fails on
    inputs of any other shape:

    * `serving_default`: `images`, float32 of shape (batch, height, width, channels), pixels in [0, 255].
    * `serve_uint8`: `images`, the same as uint8.
    * `serve_encoded`: `image_bytes`, strings of shape (batch,), PNG, JPEG or GIF files of any size (models of 1 or 3
      channels).

    `assets.extra/tf_serving_warmup_requests` contains one request per signature, which TensorFlow Serving runs when it
    loads the model. TensorFlow Serving serves the folder `NAME` if the path is `NAME/VERSION`, such as `served/1`.

    The class names are in `assets/class_names.txt`, one per line; `tf.saved_model.load(path).class_names.asset_path`
    is the path of that file. `assets/metadata.json` describes the model. Models in mixed precision are exported in
    float32. Under JAX and PyTorch, a subprocess with Keras on TensorFlow writes the SavedModel.

    Args:
        model: A model of this package with its normalization and its head.
        path: New folder for the SavedModel.
        class_names: Names of the classes; those saved with the model by default.

    Raises:
        InputError: The folder exists or cannot be written, the model takes normalized images or has no head, or there
            is not one name per class.
        VerificationError: The probabilities of the SavedModel differ from those of the model; it is removed.
    """
    check_path("path", path)
    path, head = Path(path), check_serves_pixels(model)
    model = compute_in_float32(model)
    names = head.class_names if class_names is None else check_class_names(class_names, head.num_classes)
    if path.exists():
        raise InputError(f"{str(path)!r} exists already. Remove it or choose another folder.")
    images = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:]), dtype="uint8")
    expected = finite_probabilities(KerasPredictor(model), images)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from error
    with replacing(path) as temporary:
        metadata = ArtifactMetadata(model.name, tuple(model.input_shape[1:]), names)
        call_on_tensorflow(write_saved_model, model, temporary, metadata=metadata.to_json())
        verify_signatures(SavedModelPredictor(temporary), images, expected)


def write_saved_model(model: keras.Model, path: Path, metadata: str) -> None:
    """Writes the SavedModel that `export_saved_model` describes. Requires Keras on TensorFlow.

    Args:
        model: A model that returns logits.
        path: New folder.
        metadata: `ArtifactMetadata` as JSON. Its batch size, if any, becomes that of all signatures.

    Raises:
        InputError: The folder cannot be written.
    """
    fields = ArtifactMetadata.from_json(metadata, path)
    with tempfile.TemporaryDirectory() as folder:
        names_file, metadata_file = Path(folder, "class_names.txt"), Path(folder, "metadata.json")
        names_file.write_text("".join(f"{name}\n" for name in fields.class_names or ()), encoding="utf-8")
        metadata_file.write_text(metadata, encoding="utf-8")
        module = _ServedModule(model, names_file, metadata_file)
        try:
            tf.saved_model.save(module, str(path), signatures=_trace_signatures(model, fields.batch_size))
            write_warmup_requests(path, fields.model, _warmup_inputs(fields.image_shape, fields.batch_size or 1))
        except tf.errors.OpError as error:
            raise InputError(
                f"cannot write the SavedModel to {str(path.parent)!r}: {error.message}. Choose another folder."
            ) from error


class _ServedModule(tf.Module):
    """What a SavedModel stores besides its signatures: the variables, the class names and the metadata."""

    def __init__(self, model: keras.Model, class_names_file: Path, metadata_file: Path) -> None:
        super().__init__()
        self.variables_of_model = model.variables
        self.class_names = tf.saved_model.Asset(str(class_names_file))
        self.metadata = tf.saved_model.Asset(str(metadata_file))


def probabilities_of(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns the class probabilities of a model on TensorFlow, float32 of shape (batch, classes)."""
    return tf.nn.softmax(tf.cast(model(images, training=False), tf.float32))


def _finite_or_nan(probabilities: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Returns NaN for images with pixels that are NaN or infinite: a model's ReLU and pooling would hide them."""
    if not images.dtype.is_floating:
        return probabilities
    is_finite = tf.reduce_all(tf.math.is_finite(images), axis=(1, 2, 3))  # (batch,)
    return tf.where(is_finite[:, tf.newaxis], probabilities, float("nan"))


def _signature_specs(image_shape: tuple[int, int, int], batch_size: int | None) -> dict[str, tf.TensorSpec]:
    """Returns the input of each signature."""
    specs = {
        "serving_default": tf.TensorSpec((batch_size, *image_shape), tf.float32, name=INPUT_NAME),
        "serve_uint8": tf.TensorSpec((batch_size, *image_shape), tf.uint8, name=INPUT_NAME),
    }
    if image_shape[-1] in DECODABLE_CHANNELS:
        specs["serve_encoded"] = tf.TensorSpec((batch_size,), tf.string, name=ENCODED_INPUT_NAME)
    return specs


def _trace_signatures(model: keras.Model, batch_size: int | None) -> dict[str, Any]:
    image_shape = model.input_shape[1:]

    # Nothing here needs AutoGraph, which would take as long as all the rest of tracing.
    @functools.partial(tf.function, autograph=False)
    def apply_model(images: tf.Tensor) -> tf.Tensor:
        return probabilities_of(model, images)

    def compute_probabilities(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A signature alone does not check its inputs: the reshapes of the model would turn images of twice the height
        # into twice the rows. Graph optimization removes assertions on static shapes, but keeps EnsureShape.
        images = tf.ensure_shape(images, (batch_size, *image_shape), name="check_image_shape")
        if batch_size is not None:
            return {OUTPUT_NAME: _finite_or_nan(apply_model(tf.cast(images, tf.float32)), images)}
        # TensorFlow's fused convolutions on CPUs fail on empty batches, so an empty batch becomes one black image.
        count = tf.shape(images)[0]
        padding = tf.zeros((tf.cast(count == 0, tf.int32), *image_shape), images.dtype)
        probabilities = apply_model(tf.cast(tf.concat([images, padding], axis=0), tf.float32))[:count]
        return {OUTPUT_NAME: _finite_or_nan(probabilities, images)}

    def decode_and_compute(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        encoded = tf.ensure_shape(encoded, (batch_size,), name="check_encoded_shape")
        return compute_probabilities(decode_batch(encoded, image_shape))

    return {
        name: tf.function(
            decode_and_compute if spec.dtype == tf.string else compute_probabilities, autograph=False
        ).get_concrete_function(spec)
        for name, spec in _signature_specs(image_shape, batch_size).items()
    }


def _warmup_inputs(image_shape: tuple[int, int, int], batch_size: int) -> dict[str, dict[str, np.ndarray]]:
    """Returns the arguments of each signature in a warm-up request: black images."""
    images = np.zeros((batch_size, *image_shape), "uint8")
    inputs = {"serving_default": {INPUT_NAME: images.astype("float32")}, "serve_uint8": {INPUT_NAME: images}}
    if image_shape[-1] in DECODABLE_CHANNELS:
        image = tf.io.encode_png(np.zeros((64, 64, 3), "uint8")).numpy()
        inputs["serve_encoded"] = {ENCODED_INPUT_NAME: np.array([image] * batch_size, dtype=object)}
    return inputs


def verify_signatures(saved_model: SavedModelPredictor, images: np.ndarray, expected: np.ndarray) -> None:
    """Compares every signature of a SavedModel with the probabilities of Keras.

    Args:
        saved_model: The SavedModel.
        images: uint8 array of shape (batch, height, width, channels).
        expected: Probabilities of Keras, of shape (batch, classes).

    Raises:
        VerificationError: A probability differs by more than `TOLERANCE`.
    """
    for signature, probabilities in saved_model.probabilities_by_signature(images).items():
        difference = float(np.abs(probabilities - expected).max())
        if not difference <= TOLERANCE:
            raise VerificationError(
                f"signature {signature} of the SavedModel differs from Keras by {difference:.2g}, more than "
                f"{TOLERANCE:g}; the SavedModel was removed. Please report this bug."
            )
