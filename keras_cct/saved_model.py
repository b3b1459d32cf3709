"""TensorFlow's side of serving: how a SavedModel is written and asked."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_cct.data.preprocess import DECODABLE_CHANNELS, decode_batch
from keras_cct.errors import InputError


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


if __name__ == "__main__":
    model_file, folder, *names = sys.argv[1:]
    write_saved_model(keras.models.load_model(model_file, compile=False), Path(folder), names)
