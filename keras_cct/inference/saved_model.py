"""TensorFlow's side of serving: how a SavedModel is written and asked."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.errors import InputError


class SavedModel:
    """A SavedModel written by `export_saved_model`, loaded without Keras.

    Args:
        path: Its folder.

    Raises:
        InputError: The folder holds no such SavedModel.
    """

    def __init__(self, path: Path):
        try:
            self._module = tf.saved_model.load(str(path))
            spec = self._module.signatures["serving_default"].structured_input_signature[1]["images"]
            names = Path(self._module.class_names.asset_path.numpy().decode()).read_text().splitlines()
        except (OSError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
            raise InputError(
                f"{str(path)!r} is not a whole SavedModel written by keras_cct. "
                f"Give the folder that `keras_cct export` made, or `saved_model` in the folder of a run."
            ) from error
        self.image_shape = tuple(spec.shape[1:])
        self.class_names = tuple(names) or None

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 (batch, classes) for pixels of 0..255, (batch, height, width, channels)."""
        return self._ask("serving_default", images=tf.cast(images, tf.float32))

    def answers(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what each signature answers to the same images.

        Args:
            images: uint8 array of shape (batch, height, width, channels).
        """
        answers = {
            "serving_default": self.probabilities(images),
            "serve_uint8": self._ask("serve_uint8", images=images),
        }
        if "serve_encoded" in self._module.signatures:
            encoded = tf.stack([tf.io.encode_png(image) for image in images])
            answers["serve_encoded"] = self._ask("serve_encoded", encoded=encoded)
        return answers

    def _ask(self, signature: str, **tensors: object) -> np.ndarray:
        tensors = {name: tf.convert_to_tensor(tensor) for name, tensor in tensors.items()}
        return self._module.signatures[signature](**tensors)["probabilities"].numpy()
