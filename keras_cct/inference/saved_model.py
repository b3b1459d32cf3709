"""Predicts with a SavedModel written by `export_saved_model`; needs only TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cct.inference.metadata import ENCODED_INPUT_NAME, INPUT_NAME, OUTPUT_NAME, foreign_artifact
from keras_cct.inference.predictor import check_images, predict_in_batches


class SavedModelPredictor:
    """Predicts with a SavedModel written by `export_saved_model`.

    Args:
        path: Folder of the SavedModel.

    Raises:
        InputError: The folder does not contain a SavedModel written by keras_cct.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._module = tf.saved_model.load(str(path))
            specs = self._module.signatures["serving_default"].structured_input_signature[1]
            shape = specs[INPUT_NAME].shape
            names = Path(self._module.class_names.asset_path.numpy().decode()).read_text().splitlines()
        except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
            raise foreign_artifact(path) from error
        self.image_shape: tuple[int, int, int] = tuple(shape[1:])
        self.class_names = tuple(names) or None
        self._batch_size = shape[0]

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

        return predict_in_batches(predict, check_images(images, self.image_shape), self._batch_size)


def _signature_input(pixels: np.ndarray, dtype: tf.DType) -> dict[str, Any]:
    if dtype != tf.string:
        return {INPUT_NAME: tf.cast(pixels, dtype)}
    return {ENCODED_INPUT_NAME: tf.stack([tf.io.encode_png(image) for image in tf.cast(pixels, tf.uint8)])}
