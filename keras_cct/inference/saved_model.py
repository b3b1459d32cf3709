"""Predicts with a SavedModel written by `export_saved_model`; needs only TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cct.errors import InputError, check_class_names
from keras_cct.files import check_is_file, reading
from keras_cct.inference.metadata import (
    ADVICE,
    ENCODED_INPUT_NAME,
    EXPECTED,
    INPUT_NAME,
    MAX_METADATA_BYTES,
    OUTPUT_NAME,
)
from keras_cct.inference.predictor import check_images, predict_black_image, predict_in_batches


class SavedModelPredictor:
    """Predicts with a SavedModel written by `export_saved_model`.

    Args:
        path: Folder of the SavedModel.

    Raises:
        InputError: The folder does not contain a SavedModel written by keras_cct.
    """

    def __init__(self, path: Path) -> None:
        for file in path.rglob("*"):
            if not file.is_dir():
                check_is_file(file, ADVICE)
        with reading(path, EXPECTED, ADVICE):
            self._module = tf.saved_model.load(str(path))
            signature = self._module.signatures["serving_default"]
            batch_size, *sizes = signature.structured_input_signature[1][INPUT_NAME].shape
            height, width, channels = (int(size) for size in sizes)
            num_classes = int(signature.structured_outputs[OUTPUT_NAME].shape[-1])
            names = _read_class_names(Path(self._module.class_names.asset_path.numpy().decode()), path, num_classes)
            self.image_shape: tuple[int, int, int] = (height, width, channels)
            self.class_names = names
            self._batch_size = batch_size
            predict_black_image(self)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return self._call_signature("serving_default", images, tf.float32)

    def probabilities_by_signature(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the probabilities that each signature computes for the same images.

        Args:
            images: uint8 array of shape (batch, height, width, channels).
        """
        probabilities = {
            "serving_default": self.probabilities(images),
            "serve_uint8": self._call_signature("serve_uint8", images, tf.uint8),
        }
        if "serve_encoded" in self._module.signatures:
            probabilities["serve_encoded"] = self._call_signature("serve_encoded", images, tf.string)
        return probabilities

    def _call_signature(self, signature: str, images: np.ndarray, dtype: tf.DType) -> np.ndarray:
        def predict(pixels: np.ndarray) -> np.ndarray:
            return self._module.signatures[signature](**_signature_input(pixels, dtype))[OUTPUT_NAME].numpy()

        return predict_in_batches(predict, check_images(images, self.image_shape), self._batch_size, self.class_names)


def _read_class_names(file: Path, folder: Path, num_classes: int) -> tuple[str, ...] | None:
    """Returns the class names in a file of a SavedModel, one per line; None if it is empty.

    Raises:
        InputError: The file is outside of the folder or too large, or there is not one name per class.
    """
    if not file.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"its list of class names is outside of its folder, at {str(file)!r}. {ADVICE}")
    if check_is_file(file, ADVICE).stat().st_size > MAX_METADATA_BYTES:
        raise InputError(f"its list of class names has more than {MAX_METADATA_BYTES:,} bytes. {ADVICE}")
    names = tuple(file.read_text(encoding="utf-8").splitlines())
    return check_class_names(names, num_classes) if names else None


def _signature_input(pixels: np.ndarray, dtype: tf.DType) -> dict[str, Any]:
    if dtype != tf.string:
        return {INPUT_NAME: tf.cast(pixels, dtype)}
    return {ENCODED_INPUT_NAME: tf.stack([tf.io.encode_png(image) for image in tf.cast(pixels, tf.uint8)])}
