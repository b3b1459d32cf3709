"""NumPy .npz files with images and labels."""

import logging
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError, check_class_names
from keras_cct.facts.datasets import class_names

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


CHANNELS = (1, 3, 4)
NAMES = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "test": (
        ("x_test", "y_test"),
        ("test_images", "test_labels"),
        ("x_val", "y_val"),
        ("val_images", "val_labels"),
    ),
}


def open_npz(source: Source) -> tuple[LabeledImages, LabeledImages]:
    """Returns the training and the test images of an .npz file.

    Its arrays are x_train, y_train, x_test and y_test, or train_images, train_labels, test_images and test_labels:
    uint8 images of shape (images, height, width) or (images, height, width, channels), labels of shape (images,) or
    (images, 1). An array class_names, of words, may name the classes.

    Args:
        source: `data_dir` is the file.

    Raises:
        InputError: The file is broken, or an array is missing or of another kind.
    """
    path = source.data_dir
    fault = f"{path!r} is not a whole .npz file of plain arrays. Give another."
    if not zipfile.is_zipfile(path):
        raise InputError(fault)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(fault) from error
    return images_of_arrays(arrays, source.dataset, path)


def images_of_arrays(arrays: Mapping[str, np.ndarray], dataset: str, where: str) -> tuple[LabeledImages, ...]:
    """Returns the training and the test images in arrays named as `open_npz` says.

    Args:
        arrays: The arrays by name.
        dataset: What the recipe calls the set.
        where: File or set, for messages.

    Raises:
        InputError: An array is missing or of another kind.
    """
    train_images, train_labels = _split(arrays, "train", where)
    test_images, test_labels = _split(arrays, "test", where)
    if "class_names" in arrays:
        given = [str(name) for name in np.ravel(arrays["class_names"])]
        names = check_class_names(given, len(given))
        check_labels(train_labels, len(names), where)
    else:
        names = names_of_classes(dataset, count_classes(train_labels, where))
    check_labels(test_labels, len(names), where)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"the training images in {where!r} are {train_images.shape[1:]}, the test images {test_images.shape[1:]}. "
            "Give both one size."
        )
    return LabeledImages(train_images, train_labels, names), LabeledImages(test_images, test_labels, names)


def _split(arrays: Mapping[str, np.ndarray], split: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    found = next((names for names in NAMES[split] if set(names) <= set(arrays)), None)
    if found is None:
        choices = " or ".join(" and ".join(names) for names in NAMES[split][:2])
        raise InputError(f"{where!r} has arrays {', '.join(arrays) or 'none'}, but not {choices}. Add them.")
    images, labels = (arrays[name] for name in found)
    if images.dtype != "uint8" or images.ndim not in (3, 4):
        raise InputError(
            f"{found[0]} in {where!r} is {images.dtype} of shape {images.shape}. Make it uint8 of shape (images, "
            "height, width) or (images, height, width, channels)."
        )
    if images.ndim == 4 and images.shape[1] in CHANNELS and images.shape[3] not in CHANNELS:
        raise InputError(
            f"{found[0]} in {where!r} is of shape {images.shape}, which looks like (images, channels, height, width). "
            "Move the channels to the end."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"{found[1]} in {where!r} is {labels.dtype} of shape {labels.shape}. Make it integers of shape (images,)."
        )
    check_lengths(len(images), len(labels), where)
    return images if images.ndim == 4 else images[..., None], labels.astype("int64")
