"""Predicts the classes of images: arrays, encoded images, files and folders."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from keras_cct.errors import InputError, check_count, check_instance
from keras_cct.inference.image_files import find_image_files, read_image
from keras_cct.inference.predictor import Predictor, check_images, finite_probabilities
from keras_cct.inference.predictors import as_predictor

if TYPE_CHECKING:
    import keras

Image = np.ndarray | bytes | str | PathLike
"""An array of shape (height, width, channels), the bytes of an image file, or the path of a file or folder."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image.

    Args:
        path: Path of the file; empty for an array or an encoded image.
        classes: Pairs of class name (its index if the names are unknown) and probability, in descending order of
            probability.
        error: Why the image cannot be read, with `classes` empty; None if it was read.
    """

    path: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None


def predict(
    model: "Predictor | keras.Model",
    images: Image | Iterable[Image],
    top: int | None = 5,
    batch_size: int = 64,
    skips_unreadable: bool = False,
) -> Iterator[Prediction]:
    """Yields the most probable classes of each image. Reads one batch at a time.

    Args:
        model: A predictor from `load_predictor`, or a Keras model.
        images: One or more images: arrays of the model's image shape with pixels in [0, 255] (a 4-dimensional array is
            a batch of them), the bytes of image files of any size and format that Pillow reads, paths of such files, or
            folders, which are searched recursively.
        top: Number of classes per image; None for all.
        batch_size: Images per batch.
        skips_unreadable: Whether an unreadable image becomes a `Prediction` with an error instead of raising.

    Raises:
        InputError: A file is missing or is not an image, a folder contains no images, or an array has the wrong shape.
    """
    if top is not None:
        check_count("top", top)
    check_count("batch_size", batch_size)
    predictor = as_predictor(model)
    sources = _list_sources(images)
    with ThreadPoolExecutor() as executor:
        while batch := list(itertools.islice(sources, batch_size)):
            loaded = list(executor.map(lambda source: _load(source, predictor.image_shape), batch))
            errors = [item for item in loaded if isinstance(item, InputError)]
            if errors and not skips_unreadable:
                raise errors[0]
            pixels = [item for item in loaded if not isinstance(item, InputError)]
            rows = iter(finite_probabilities(predictor, np.stack(pixels)) if pixels else ())
            for source, item in zip(batch, loaded, strict=True):
                path = "" if isinstance(source, np.ndarray | bytes) else str(source)
                if isinstance(item, InputError):
                    yield Prediction(path, error=str(item))
                else:
                    yield Prediction(path, _best_classes(next(rows), predictor.class_names, top))


def predict_files(
    model: "Predictor | keras.Model", paths: str | PathLike | Iterable[str | PathLike], top: int = 5
) -> Iterator[list[tuple[str, float]]]:
    """Yields the most probable classes of each image file.

    Args:
        model: A predictor from `load_predictor`, or a Keras model.
        paths: One or more image files of any size.
        top: Number of classes per file.

    Yields:
        For each file up to `top` pairs of class name (its index if the names are unknown) and probability, in
        descending order of probability.

    Raises:
        InputError: A file is missing or is not an image.
    """
    for prediction in predict(model, paths, top):
        yield list(prediction.classes)


def _list_sources(images: Image | Iterable[Image]) -> Iterator[np.ndarray | bytes | PathLike]:
    if isinstance(images, str | PathLike):
        yield from find_image_files(images)
    elif isinstance(images, bytes) or (isinstance(images, np.ndarray) and images.ndim < 4):
        yield images
    else:
        check_instance("images", images, Iterable, "an image, a path, or a list of them")
        for image in images:
            yield from _list_sources(image)


def _load(source: np.ndarray | bytes | PathLike, image_shape: tuple[int, int, int]) -> np.ndarray | InputError:
    try:
        if isinstance(source, np.ndarray):
            return check_images(source[np.newaxis], image_shape)[0]
        return read_image(source, image_shape)
    except InputError as error:
        return error


def _best_classes(
    probabilities: np.ndarray, class_names: tuple[str, ...] | None, top: int | None
) -> tuple[tuple[str, float], ...]:
    names = class_names or [str(index) for index in range(len(probabilities))]
    best = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((names[index], float(probabilities[index])) for index in best)
