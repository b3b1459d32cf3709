"""Checks of integer labels, and the class names that belong to them."""

import logging
from collections.abc import Sequence

import numpy as np

from keras_cct.errors import InputError
from keras_cct.facts.datasets import DATASETS, class_names, standard_name

log = logging.getLogger(__name__)


def check_lengths(num_images: int, num_labels: int, where: str) -> None:
    """Raises InputError, naming the file, if there are no images or a different number of labels."""
    if num_images != num_labels:
        raise InputError(f"{where!r} has {num_labels} labels for {num_images} images. Provide one label per image.")
    if not num_images:
        raise InputError(f"{where!r} has no images. Provide at least one image per split.")


def check_labels(labels: np.ndarray, num_classes: int, where: str) -> None:
    """Raises InputError, naming the file, if a label is not in [0, num_classes - 1].

    Args:
        labels: Array of any integer type, shape (images,).
        num_classes: Number of classes.
        where: File or dataset, for the message.
    """
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise InputError(
            f"label {wrong[0]} in {where!r} is not in [0, {num_classes - 1}]. Number the {num_classes} classes from 0."
        )


def count_classes(labels: np.ndarray, where: str) -> int:
    """Returns the number of classes of training labels.

    Args:
        labels: Array of any integer type, shape (images,).
        where: File or dataset, for messages.

    Raises:
        InputError: The labels are not numbered from 0 without gaps.
    """
    # Every class needs an image, so N images have labels below N. Checked before `bincount`, which allocates one
    # counter per possible label and overruns its buffer for labels near 2**63.
    if labels.min() < 0 or labels.max() >= len(labels):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise InputError(
            f"label {wrong} in {where!r} is not in [0, {len(labels) - 1}], and {len(labels)} images cannot have more "
            "classes. Number the classes from 0 without gaps."
        )
    counts = np.bincount(labels.astype("int64"))
    if not counts.all():
        empty = int(np.flatnonzero(counts == 0)[0])
        raise InputError(
            f"class {empty} of {len(counts)} has no images in {where!r}. Number the classes from 0 without gaps."
        )
    return len(counts)


def warn_about_empty_classes(labels: np.ndarray, names: Sequence[str], where: str) -> None:
    """Logs a warning if some of the named classes have no training images: the model cannot learn them.

    That is allowed, because the list of names may be the one of a pretrained classifier head.

    Args:
        labels: Checked labels, shape (images,).
        names: Name of each class.
        where: File or dataset, for the message.
    """
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty):
        log.warning(
            "%d of %d classes have no training images in %s, the first is %r",
            len(empty),
            len(names),
            where,
            names[empty[0]],
        )


def default_class_names(dataset: str, num_classes: int) -> tuple[str, ...]:
    """Returns the class names for data that has only integer labels.

    These are the published names if the dataset is known and has this number of classes, otherwise "0", "1", ...

    Args:
        dataset: Name of the dataset in the recipe.
        num_classes: Number of classes.
    """
    known = DATASETS.get(standard_name(dataset))
    if known is not None and known.num_classes == num_classes:
        log.info("using the class names of %s", dataset)
        return class_names(dataset)
    return tuple(str(label) for label in range(num_classes))
