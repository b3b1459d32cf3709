"""What answers class probabilities: a Keras model, or anything that does the same."""

from os import PathLike
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.layers.pooling import ClassifierHead
from keras_cct.models import names
from keras_cct.weights.formats import read_keras_file


class Predictor(Protocol):
    """Whatever answers class probabilities.

    Args:
        image_shape: (height, width, channels) of the images it takes.
        class_names: Names in the order of the probabilities, or None where they are not known.
    """

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 (batch, classes) for pixels of 0..255, (batch, height, width, channels)."""


class KerasPredictor:
    """A Keras model of this package that answers probabilities.

    Args:
        model: A model with its normalization and its head.

    Raises:
        InputError: The model takes no pixels, or answers no class scores.
    """

    def __init__(self, model: keras.Model):
        self.class_names = check_serves_pixels(model).class_names
        self.image_shape = tuple(model.input_shape[1:])
        self._model = model

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 (batch, classes) for pixels of 0..255, (batch, height, width, channels)."""
        return keras.ops.convert_to_numpy(keras.ops.softmax(self._model.predict_on_batch(images)))


def check_serves_pixels(model: keras.Model) -> ClassifierHead:
    """Returns the head of a model from pixels of 0..255 to class scores.

    Raises:
        InputError: The model takes normalized images, or has no head.
    """
    head = model.layers[-1] if model.layers else None
    if not isinstance(head, ClassifierHead):
        raise InputError(f"model {model.name!r} does not end in class scores. Give one made with include_top=True.")
    if not any(layer.name == names.NORMALIZATION for layer in model.layers):
        raise InputError(
            f"model {model.name!r} takes normalized images, not pixels. Give one made with normalization=(mean, std)."
        )
    return head


def load_predictor(path: str | PathLike) -> Predictor:
    """Returns the model in a `.keras` file or in the folder of a SavedModel, ready to answer.

    Raises:
        InputError: There is no such model, or it is broken.
    """
    if Path(path).is_dir():
        from keras_cct.inference.saved_model import SavedModel

        return SavedModel(Path(path))
    if not Path(path).exists():
        raise InputError(f"no model at {str(path)!r}. Give a .keras file or the folder of a SavedModel.")
    return KerasPredictor(read_keras_file(path))
