"""Labels that came as numbers: checked, and named."""

import logging

import numpy as np

from keras_cct.errors import InputError
from keras_cct.labels import class_names

log = logging.getLogger(__name__)

NAMED = ("cifar10", "cifar100", "fashion_mnist")
"""Sets that may come without the names of their classes."""


def names_of_classes(dataset: str, num_classes: int) -> tuple[str, ...]:
    """Returns the names of the classes of a set that has only numbers for them: its own where they are known.

    Args:
        dataset: What the recipe calls the set.
        num_classes: Number of classes.
    """
    names = class_names(dataset) if dataset in NAMED else ()
    if len(names) == num_classes:
        log.info("classes are named after %s", dataset)
        return names
    return tuple(str(number) for number in range(num_classes))


def count_classes(labels: np.ndarray, where: str) -> int:
    """Returns the number of classes of training labels.

    Args:
        labels: Integer array of shape (images,).
        where: File that has them.

    Raises:
        InputError: They do not run from 0 without gaps.
    """
    if labels.min() < 0:
        raise InputError(f"label {labels.min()} in {where!r} is out of range. Number the classes from 0.")
    counts = np.bincount(labels)
    if not counts.all():
        empty = int(np.flatnonzero(counts == 0)[0])
        raise InputError(
            f"class {empty} of {len(counts)} has no images in {where!r}. Number the classes from 0 without gaps."
        )
    return len(counts)


def check_labels(labels: np.ndarray, num_classes: int, where: str) -> None:
    """Raises InputError, naming the file, if a label is below 0, or `num_classes` or above."""
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise InputError(
            f"label {wrong[0]} in {where!r} is out of range: the training images have classes 0 to {num_classes - 1}."
        )


def check_lengths(num_images: int, num_labels: int, where: str) -> None:
    """Raises InputError, naming the file, if there are no images or not as many labels."""
    if num_images != num_labels:
        raise InputError(f"{where!r} has {num_labels} labels for {num_images} images. Give one label per image.")
    if not num_images:
        raise InputError(f"{where!r} has no images. Give a file with some.")
