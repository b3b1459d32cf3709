"""Asking a trained model, a `.keras` file or a SavedModel: predictions with class names, and accuracy."""

import logging
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from keras_cct.errors import InputError, check_count
from keras_cct.inference.predictors import Predictor

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet

log = logging.getLogger(__name__)


def predict_files(
    predictor: Predictor, paths: Iterable[str | PathLike], top: int = 5
) -> Iterator[list[tuple[str, float]]]:
    """Yields the most probable classes of each image file.

    Args:
        predictor: From `load_predictor`.
        paths: PNG, JPEG or GIF files of any size.
        top: Number of classes to name.

    Yields:
        For each file up to `top` pairs of class name (its number where no names are known) and probability, falling.

    Raises:
        InputError: A file is missing or no image, before the first prediction.
    """
    from keras_cct.data.decode import read_images

    check_count("top", top)
    for images in read_images(list(paths), predictor.image_shape):
        (probabilities,) = _probabilities(predictor, images)
        names = predictor.class_names or [str(index) for index in range(len(probabilities))]
        best = np.argsort(-probabilities, kind="stable")[:top]
        yield [(names[index], float(probabilities[index])) for index in best]


def evaluate(
    predictor: Predictor,
    data: "ImageSet",
    batch_size: int = 128,
    crop_pct: float = 1.0,
    interpolation: str = "bicubic",
) -> dict[str, float]:
    """Returns the accuracy on labeled images.

    Args:
        predictor: From `load_predictor`.
        data: Images of any size with the predictor's channels, or color for a gray one; if they name the predictor's
            classes in another order, labels are matched by name.
        batch_size: Images at a time.
        crop_pct: Share of a resized image's short side to keep, above 0 to 1.
        interpolation: Resampling of images of another size, "bilinear" or "bicubic".

    Returns:
        `top1` and `top5` in percent: how often the label is the first, or among the first five.

    Raises:
        InputError: The images or the number of classes do not fit.
    """
    from keras_cct.data.augment.pixels import luma
    from keras_cct.data.decode import ResizeAndCrop
    from keras_cct.data.pipeline import decoded_images
    from keras_cct.data.unreadable import raising_input_errors

    height, width, channels = predictor.image_shape
    to_gray = channels == 1 and data.image_shape[-1] == 3
    if data.image_shape[-1] != channels and not to_gray:
        raise InputError(
            f"the model takes images of {channels} channels, the data set has {data.image_shape[-1]}. "
            f"Give another model or data set."
        )
    check_count("batch_size", batch_size)
    places, ranks = _places(predictor, data), []
    with raising_input_errors(data):
        batches = decoded_images(data, ResizeAndCrop(height, width, crop_pct, interpolation)).batch(batch_size)
        for images, labels in batches.as_numpy_iterator():
            pixels = luma(images).numpy() if to_gray else images
            probabilities = _probabilities(predictor, pixels)  # (batch, classes)
            if probabilities.shape[1] != len(places):
                raise InputError(f"the model knows {probabilities.shape[1]} classes, the data set {len(places)}.")
            order = np.argsort(-probabilities, axis=1, kind="stable")
            ranks.append(np.argmax(order == places[labels][:, None], axis=1))
    ranks = np.concatenate(ranks)
    return {"top1": 100 * float(np.mean(ranks < 1)), "top5": 100 * float(np.mean(ranks < 5))}


def _places(predictor: Predictor, data: "ImageSet") -> np.ndarray:
    """Returns where the predictor answers each class of the data."""
    known, given = predictor.class_names, data.class_names
    if known is not None and len(known) != len(given):
        raise InputError(f"the model knows {len(known)} classes, the data set {len(given)}.")
    if known is None or set(known) != set(given):
        if known is not None and not all(name.isdecimal() for name in given):
            log.warning(
                "the model's classes (%s, ...) are named otherwise than the data's (%s, ...): compared by their order",
                known[0],
                given[0],
            )
        return np.arange(len(given))
    return np.array([known.index(name) for name in data.class_names])


def _probabilities(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    probabilities = predictor.probabilities(images)
    if not np.isfinite(probabilities).all():
        raise InputError("the model answers NaN; its weights are broken. Give an earlier one.")
    return probabilities
