"""The description of a data source: the recipe keys that select a dataset and its two splits."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from keras_cct.errors import InputError

SPLIT_SYNONYMS = (("train", "training"), ("val", "valid", "validation", "eval", "evaluation", "test"))
"""Interchangeable names of the training split, and of the evaluation split."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The training and evaluation splits of a dataset. The fields are keys of `Recipe`.

    Args:
        dataset: "sample", a known dataset such as "cifar10", "tfds/NAME", "keras/NAME", or any name with a `data_dir`.
        data_dir: Folder or .npz file; for "tfds/NAME" the folder in which TFDS stores its datasets.
        class_map: For image folders: text file with one class folder per line, in the order of the labels. Classes
            without a line are left out; a class without training images is kept, with a warning. Empty for the natural
            order of the folder names.
        train_split: Name or slice of the training split, or folder of the training images.
        val_split: Name or slice of the evaluation split, or folder of the evaluation images.
        val_fraction: Fraction of the images of a folder without evaluation split that is held out, at least 0, below 1.
        label_depth: For image folders: depth of the class folders, 1 for the outermost ones, 0 for the innermost ones.
        folds: Number of folds of a folder without splits for cross-validation; 0 for none.
        fold: The fold of the evaluation images, from 1.
        seed: Seed of the split of a folder.
    """

    dataset: str
    data_dir: str = ""
    class_map: str = ""
    train_split: str = "train"
    val_split: str = "validation"
    val_fraction: float = 0.2
    label_depth: int = 0
    folds: int = 0
    fold: int = 0
    seed: int = 42


def parse_source(name: str) -> Source:
    """Returns the source for a path if there is such a file or folder, and otherwise for the name of a dataset."""
    is_path = Path(name).exists() or ("/" in name and not name.startswith(("tfds/", "keras/")))
    return Source(Path(name).name, data_dir=name) if is_path else Source(name)


def find_split(split: str, available: Iterable[str]) -> str | None:
    """Returns the available split with this name or else with a synonym of it, or None."""
    available = set(available)
    synonyms = next((names for names in SPLIT_SYNONYMS if split in names), ())
    return next((name for name in (split, *synonyms) if name in available), None)


def check_no_class_map(source: Source) -> None:
    """Raises InputError if a class map or a label depth is given for a source that already defines its classes."""
    if source.class_map:
        raise InputError(
            f"class_map={source.class_map!r} has no effect with {source.data_dir or source.dataset!r}: only image "
            "folders use a class map. Remove it."
        )
    if source.label_depth:
        raise InputError(
            f"label_depth={source.label_depth} has no effect with {source.data_dir or source.dataset!r}: only image "
            "folders use it. Remove it."
        )


def check_default_splits(source: Source) -> None:
    """Checks the keys of a source that always has one training and one test split.

    Raises:
        InputError: `train_split` or `val_split` is not a synonym of its default, or a class map is given.
    """
    for key, allowed in zip(("train_split", "val_split"), SPLIT_SYNONYMS, strict=True):
        value = getattr(source, key)
        if value not in allowed:
            raise InputError(
                f"{key}={value!r} has no effect with {source.data_dir or source.dataset!r}, which has one training "
                "and one test split. Remove it; only image folders and TFDS have named splits."
            )
    check_no_class_map(source)
