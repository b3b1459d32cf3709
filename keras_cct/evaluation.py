"""Asking a trained model, a `.keras` file or a SavedModel: predictions with class names, and accuracy."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from keras_cct.checks import check_count
from keras_cct.data import LabelledImages
from keras_cct.errors import InputError
from keras_cct.predictor import KerasPredictor, Predictor
from keras_cct.weights import read_keras_file


def load_predictor(path: str | PathLike) -> Predictor:
    """Returns the model in a `.keras` file or in the folder of a SavedModel, ready to answer.

    Raises:
        InputError: There is no such model, or it is broken.
    """
    if Path(path).is_dir():
        from keras_cct.saved_model import SavedModel

        return SavedModel(Path(path))
    return KerasPredictor(read_keras_file(path))


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
    from keras_cct.data.preprocess import read_images

    check_count("top", top)
    for images in read_images(list(paths), predictor.image_shape):
        (probabilities,) = _probabilities(predictor, images)
        names = predictor.class_names or [str(index) for index in range(len(probabilities))]
        best = np.argsort(-probabilities, kind="stable")[:top]
        yield [(names[index], float(probabilities[index])) for index in best]


def evaluate(predictor: Predictor, data: LabelledImages, batch_size: int = 128) -> dict[str, float]:
    """Returns the accuracy on labelled images.

    Args:
        predictor: From `load_predictor`.
        data: Images of the predictor's shape.
        batch_size: Images at a time.

    Returns:
        `top1` and `top5` in percent: how often the label is the first, or among the first five.

    Raises:
        InputError: The images or the number of classes do not fit.
    """
    if data.image_shape != predictor.image_shape:
        raise InputError(
            f"the model takes images of {predictor.image_shape}, not {data.image_shape}. "
            f"Give another model or data set."
        )
    check_count("batch_size", batch_size)
    ranks = []
    for start in range(0, len(data), batch_size):
        probabilities = _probabilities(predictor, data.images[start : start + batch_size])  # (batch, classes)
        labels = data.labels[start : start + batch_size]
        if probabilities.shape[1] != len(data.class_names):
            raise InputError(f"the model knows {probabilities.shape[1]} classes, the data set {len(data.class_names)}.")
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranks.append(np.argmax(order == labels[:, None], axis=1))
    ranks = np.concatenate(ranks)
    return {"top1": 100 * float(np.mean(ranks < 1)), "top5": 100 * float(np.mean(ranks < 5))}


def _probabilities(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    probabilities = predictor.probabilities(images)
    if not np.isfinite(probabilities).all():
        raise InputError("the model answers NaN; its weights are broken. Give an earlier one.")
    return probabilities
