"""The interface of all predictors, and checks of their inputs and outputs. Imports only NumPy."""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from keras_cct.errors import InputError


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
            images: Array of shape (batch, height, width, channels), pixels in [0, 255], any dtype and batch size.

        Returns:
            Float32 array of shape (batch, classes).

        Raises:
            InputError: The images have the wrong shape, or contain pixels that are NaN or infinite.
        """
        ...


def check_images(images: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Validates a batch of images and returns it as an array.

    Args:
        images: Array of shape (batch, height, width, channels).
        image_shape: (height, width, channels) of the model input.

    Raises:
        InputError: The shape or dtype is wrong, or a pixel is NaN or infinite.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != tuple(image_shape):
        raise InputError(
            f"images have shape {images.shape}, but the model takes (batch, {', '.join(map(str, image_shape))}). "
            f"Resize or convert them, or use a model for that shape."
        )
    if images.dtype.kind not in "uifb":
        raise InputError(f"images must contain numbers, got dtype {images.dtype}. Convert them to uint8 or float32.")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise InputError("images contain pixels that are NaN or infinite. Pass pixels in [0, 255].")
    return images


def predict_in_batches(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    batch_size: int | None,
    class_names: tuple[str, ...] | None = None,
) -> np.ndarray:
    """Predicts any number of images with a runtime, in padded batches if its batch size is fixed.

    Args:
        predict: Function from float32 images to probabilities.
        images: Array of shape (images, height, width, channels).
        batch_size: Batch size that `predict` requires; None for any batch size except 0.
        class_names: Names of the classes, or None if they are unknown.

    Returns:
        Float32 array of shape (images, classes).

    Raises:
        InputError: The runtime returns an array of another shape.
    """
    pixels = np.ascontiguousarray(images, "float32")
    size = batch_size or max(len(pixels), 1)
    missing = max(math.ceil(len(pixels) / size), 1) * size - len(pixels)
    padded = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), "float32")]) if missing else pixels
    batches = [predict(padded[start : start + size]) for start in range(0, len(padded), size)]
    for probabilities in batches:
        num_classes = probabilities.shape[-1] if class_names is None else len(class_names)
        if probabilities.shape != (size, num_classes):
            raise InputError(
                f"the model returns shape {probabilities.shape} for {size} images of {num_classes} classes. "
                f"Export it again."
            )
    return np.concatenate(batches)[: len(pixels)] if len(batches) > 1 else batches[0][: len(pixels)]


def predict_black_image(predictor: Predictor) -> None:
    """Predicts a black image, so that a corrupted artifact fails when it is opened, not at the first prediction."""
    predictor.probabilities(np.zeros((1, *predictor.image_shape), "uint8"))


def finite_probabilities(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Returns the probabilities of a predictor, checked to be finite.

    Raises:
        InputError: A probability is NaN or infinite.
    """
    probabilities = predictor.probabilities(images)
    if not np.isfinite(probabilities).all():
        raise InputError(
            "the model predicts NaN or infinity. Its training may have diverged; use an earlier checkpoint."
        )
    return probabilities
