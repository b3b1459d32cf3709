"""Predictors: one interface for Keras models and exported artifacts, from pixels to class probabilities."""

from os import PathLike
from typing import Protocol

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.inference.artifacts import find_artifact
from keras_cct.layers.pooling import ClassifierHead
from keras_cct.models.names import NORMALIZATION
from keras_cct.weights.formats import read_keras_file


class Predictor(Protocol):
    """Anything that turns images into class probabilities.

    Args:
        image_shape: (height, width, channels) of the input images.
        class_names: Names in the order of the probabilities, or None if they are unknown.
    """

    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities.

        Args:
            images: Array of shape (batch, height, width, channels), pixels in [0, 255].

        Returns:
            Float32 array of shape (batch, classes).
        """
        ...


class KerasPredictor:
    """Predicts with a Keras model of this package.

    Args:
        model: A model with its normalization and its head.

    Raises:
        InputError: The model takes normalized images, or has no head.
    """

    def __init__(self, model: keras.Model) -> None:
        self.class_names = check_serves_pixels(model).class_names
        self.image_shape = tuple(model.input_shape[1:])
        self._model = model

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.softmax(self._model.predict_on_batch(images))))


def check_serves_pixels(model: keras.Model) -> ClassifierHead:
    """Returns the head of a model that maps pixels in [0, 255] to logits.

    Raises:
        InputError: The model takes normalized images, or has no head.
    """
    head = model.layers[-1] if model.layers else None
    if not isinstance(head, ClassifierHead):
        raise InputError(
            f"model {model.name!r} does not end in class logits. Create it with include_top=True, the default."
        )
    if NORMALIZATION not in [layer.name for layer in model.layers]:
        raise InputError(
            f"model {model.name!r} takes normalized images, not pixels. Create it with normalization=(mean, std)."
        )
    return head


def as_predictor(model: Predictor | keras.Model) -> Predictor:
    """Returns a Keras model as a predictor; predictors unchanged.

    Raises:
        InputError: The Keras model takes normalized images, or has no head.
    """
    return KerasPredictor(model) if isinstance(model, keras.Model) else model


def load_predictor(path: str | PathLike) -> Predictor:
    """Returns a predictor for a model on disk.

    Args:
        path: A run folder, a `.keras` file, or the folder of a SavedModel. Loading a SavedModel runs the program in
            it: use only those you trust.

    Raises:
        InputError: There is no model at the path, or it is broken.
    """
    artifact = find_artifact(path)
    if artifact.is_dir():
        from keras_cct.inference.saved_model import SavedModel

        return SavedModel(artifact)
    if not artifact.exists():
        raise InputError(f"no model at {str(path)!r}. Give a run folder, a .keras file or the folder of a SavedModel.")
    return KerasPredictor(read_keras_file(artifact))
