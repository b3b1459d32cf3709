"""Evaluates a model: top-1 and top-5 accuracy on labeled images."""

import logging
from typing import TYPE_CHECKING

import numpy as np

from keras_cct.errors import InputError, check_count
from keras_cct.inference.predictor import Predictor, finite_probabilities
from keras_cct.inference.predictors import as_predictor

if TYPE_CHECKING:
    import keras

    from keras_cct.data.images import ImageSet

log = logging.getLogger(__name__)

MAX_SHOWN_NAMES = 5


def evaluate(
    model: "Predictor | keras.Model",
    data: "ImageSet",
    batch_size: int = 128,
    crop_pct: float = 1.0,
    interpolation: str = "bicubic",
) -> dict[str, float]:
    """Returns the accuracy on labeled images.

    Labels are matched to the model's classes by name. If either the model or the dataset has no names (only the indices
    "0", "1", ...), or if they have no name in common, labels are matched by index.

    Args:
        model: A predictor from `load_predictor`, or a Keras model.
        data: Images of any size with the model's channels, or RGB images for a grayscale model.
        batch_size: Images per batch.
        crop_pct: Fraction of the resized image's short side in the center crop, above 0 and at most 1.
        interpolation: Interpolation for resizing, "bilinear" or "bicubic".

    Returns:
        `top1` and `top5`: how often, in percent, the label is the most probable class or among the five most probable.

    Raises:
        InputError: There are no images, their channels or classes differ from the model's, or the model predicts NaN
            or infinity.
    """
    from keras_cct.data.decode import ResizeAndCrop, luma
    from keras_cct.data.pipeline import decoded_images
    from keras_cct.data.unreadable import raising_input_errors

    predictor = as_predictor(model)
    height, width, channels = predictor.image_shape
    converts_to_gray = channels == 1 and data.image_shape[-1] == 3
    if data.image_shape[-1] != channels and not converts_to_gray:
        raise InputError(
            f"the model takes images of {channels} channels, but the dataset has {data.image_shape[-1]}. "
            f"Use another model or dataset."
        )
    check_count("batch_size", batch_size)
    if len(data) == 0:
        raise InputError("the dataset has no images. Provide at least one.")
    class_indices = _match_classes(predictor.class_names, data.class_names)
    ranks = []
    with raising_input_errors(data):
        batches = decoded_images(data, ResizeAndCrop(height, width, crop_pct, interpolation)).batch(batch_size)
        for images, labels in batches.as_numpy_iterator():
            pixels = luma(images).numpy() if converts_to_gray else images
            probabilities = finite_probabilities(predictor, pixels)  # (batch, classes)
            _check_num_classes(probabilities.shape[1], len(class_indices))
            order = np.argsort(-probabilities, axis=1, kind="stable")
            ranks.append(np.argmax(order == class_indices[labels][:, None], axis=1))
    ranks = np.concatenate(ranks)
    return {"top1": 100 * float(np.mean(ranks < 1)), "top5": 100 * float(np.mean(ranks < 5))}


def _match_classes(model_names: tuple[str, ...] | None, data_names: tuple[str, ...]) -> np.ndarray:
    """Returns the index of each class of the data among the classes of the model.

    Raises:
        InputError: The number of classes differs, or only some of the names match.
    """
    by_index = np.arange(len(data_names))
    if model_names is None:
        return by_index
    _check_num_classes(len(model_names), len(data_names))
    if set(model_names) == set(data_names):
        return np.array([model_names.index(name) for name in data_names])
    if set(model_names) & set(data_names):
        raise InputError(
            f"the classes {_show_names(data_names, model_names)} of the dataset are unknown to the model, which has "
            f"{_show_names(model_names, data_names)} instead. Rename the classes of the dataset."
        )
    if not _are_indices(data_names) and not _are_indices(model_names):
        log.warning(
            "the dataset (%s, ...) and the model (%s, ...) have no class name in common; matching classes by index",
            data_names[0],
            model_names[0],
        )
    return by_index


def _check_num_classes(model_classes: int, data_classes: int) -> None:
    if model_classes != data_classes:
        raise InputError(
            f"the model has {model_classes} classes, but the dataset has {data_classes}. Use another model or dataset."
        )


def _are_indices(names: tuple[str, ...]) -> bool:
    return all(name.isdecimal() for name in names)


def _show_names(names: tuple[str, ...], others: tuple[str, ...]) -> str:
    """Returns the names that are not among the others, at most `MAX_SHOWN_NAMES`."""
    missing = [repr(name) for name in names if name not in set(others)]
    rest = len(missing) - MAX_SHOWN_NAMES
    return ", ".join(missing[:MAX_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")
