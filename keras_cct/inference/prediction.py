"""Predicts the classes of image files."""

from collections.abc import Iterable, Iterator
from os import PathLike

import keras
import numpy as np

from keras_cct.errors import InputError, check_count
from keras_cct.inference.predictors import Predictor, as_predictor


def predict_files(
    model: Predictor | keras.Model, paths: str | PathLike | Iterable[str | PathLike], top: int = 5
) -> Iterator[list[tuple[str, float]]]:
    """Yields the most probable classes of each image file.

    Args:
        model: A predictor from `load_predictor`, or a Keras model.
        paths: One or more PNG, JPEG or GIF files of any size.
        top: Number of classes per file.

    Yields:
        For each file up to `top` pairs of class name (its index if the names are unknown) and probability, in
        descending order of probability.

    Raises:
        InputError: A file is missing or is not an image, before the first prediction.
    """
    from keras_cct.data.decode import read_images

    check_count("top", top)
    predictor = as_predictor(model)
    paths = [paths] if isinstance(paths, str | PathLike) else list(paths)
    for images in read_images(paths, predictor.image_shape):
        (probabilities,) = finite_probabilities(predictor, images)
        names = predictor.class_names or [str(index) for index in range(len(probabilities))]
        best = np.argsort(-probabilities, kind="stable")[:top]
        yield [(names[index], float(probabilities[index])) for index in best]


def finite_probabilities(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Returns the probabilities of a predictor.

    Raises:
        InputError: They are NaN.
    """
    probabilities = predictor.probabilities(images)
    if not np.isfinite(probabilities).all():
        raise InputError("the model predicts NaN: its weights are broken. Use an earlier checkpoint.")
    return probabilities
