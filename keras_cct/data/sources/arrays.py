"""NumPy .npz files with images and labels."""

from collections.abc import Mapping

import numpy as np

from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.labels import (
    check_labels,
    check_lengths,
    count_classes,
    default_class_names,
    warn_about_empty_classes,
)
from keras_cct.data.sources.source import Source, check_default_splits
from keras_cct.errors import InputError, check_class_names
from keras_cct.npz import read_npz

NUM_CHANNELS = (1, 3, 4)
ARRAY_NAMES = {
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

    The file has the arrays x_train, y_train, x_test and y_test, or train_images, train_labels, test_images and
    test_labels: uint8 images of shape (images, height, width) or (images, height, width, channels), and integer labels
    of shape (images,) or (images, 1). An optional array of strings, class_names, names the classes.

    Args:
        source: `data_dir` is the path of the file.

    Raises:
        InputError: The file is corrupted, or an array is missing or has the wrong type, shape or values.
    """
    check_default_splits(source)
    path = source.data_dir
    return read_arrays(read_npz(path), source.dataset, path)


def read_arrays(arrays: Mapping[str, np.ndarray], dataset: str, where: str) -> tuple[LabeledImages, LabeledImages]:
    """Returns the training and the test images of arrays that are named as in `open_npz`.

    Args:
        arrays: The arrays by name.
        dataset: Name of the dataset in the recipe.
        where: File or dataset, for messages.

    Raises:
        InputError: An array is missing or has the wrong type, shape or values.
    """
    train_images, train_labels = _read_split(arrays, "train", where)
    test_images, test_labels = _read_split(arrays, "test", where)
    if "class_names" in arrays:
        listed = [str(name) for name in np.ravel(arrays["class_names"])]
        names = check_class_names(listed, len(listed))
        check_labels(train_labels, len(names), where)
        warn_about_empty_classes(train_labels.astype("int64"), names, where)
    else:
        names = default_class_names(dataset, count_classes(train_labels, where))
    check_labels(test_labels, len(names), where)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"{where!r} has training images of shape {train_images.shape[1:]} and test images of shape "
            f"{test_images.shape[1:]}. Use the same shape for both."
        )
    return (
        LabeledImages(train_images, train_labels.astype("int64"), names),
        LabeledImages(test_images, test_labels.astype("int64"), names),
    )


def _read_split(arrays: Mapping[str, np.ndarray], split: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 images of shape (images, height, width, channels), and labels of shape (images,) in their type."""
    found = next((names for names in ARRAY_NAMES[split] if set(names) <= set(arrays)), None)
    if found is None:
        choices = " or ".join(" and ".join(names) for names in ARRAY_NAMES[split][:2])
        raise InputError(f"{where!r} has the arrays {', '.join(arrays) or '(none)'}, but not {choices}. Add them.")
    images, labels = (arrays[name] for name in found)
    if images.dtype != "uint8" or images.ndim not in (3, 4):
        raise InputError(
            f"{found[0]} in {where!r} is {images.dtype} of shape {images.shape}. Convert it to uint8 of shape (images, "
            "height, width) or (images, height, width, channels)."
        )
    if images.ndim == 4 and images.shape[1] in NUM_CHANNELS and images.shape[3] not in NUM_CHANNELS:
        raise InputError(
            f"{found[0]} in {where!r} has shape {images.shape}, which looks like (images, channels, height, width). "
            "Transpose it to (images, height, width, channels)."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"{found[1]} in {where!r} is {labels.dtype} of shape {labels.shape}. Convert it to integers of shape "
            "(images,)."
        )
    check_lengths(len(images), len(labels), where)
    return images if images.ndim == 4 else images[..., None], labels
