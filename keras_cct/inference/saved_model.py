"""Predicts with a SavedModel written by `export_saved_model`, on TensorFlow alone."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cct.errors import InputError


class SavedModel:
    """Predicts with a SavedModel written by `export_saved_model`.

    Args:
        path: Its folder.

    Raises:
        InputError: The folder does not contain such a SavedModel.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._module = tf.saved_model.load(str(path))
            spec = self._module.signatures["serving_default"].structured_input_signature[1]["images"]
            names = Path(self._module.class_names.asset_path.numpy().decode()).read_text().splitlines()
        except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
            raise InputError(
                f"{str(path)!r} is not a complete SavedModel written by keras_cct. "
                f"Give a run folder or a folder that `keras_cct export` wrote."
            ) from error
        self.image_shape = tuple(spec.shape[1:])
        self.class_names = tuple(names) or None

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return self._call_signature("serving_default", images=tf.cast(images, tf.float32))

    def probabilities_by_signature(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the probabilities that each signature computes for the same images.

        Args:
            images: uint8 array of shape (batch, height, width, channels).
        """
        probabilities = {
            "serving_default": self.probabilities(images),
            "serve_uint8": self._call_signature("serve_uint8", images=images),
        }
        if "serve_encoded" in self._module.signatures:
            encoded = tf.stack([tf.io.encode_png(image) for image in images])
            probabilities["serve_encoded"] = self._call_signature("serve_encoded", encoded=encoded)
        return probabilities

    def _call_signature(self, signature: str, **arrays: Any) -> np.ndarray:
        tensors = {name: tf.convert_to_tensor(array) for name, array in arrays.items()}
        return self._module.signatures[signature](**tensors)["probabilities"].numpy()
