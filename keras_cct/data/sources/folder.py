"""A folder with a folder of images for each split."""

import logging
import os
from pathlib import Path

import numpy as np

from keras_cct.data.encoded_images import EncodedImages, ImageSet
from keras_cct.data.sources.class_folders import order_classes, scan_images, split_listed
from keras_cct.data.sources.memory import load_if_small
from keras_cct.data.sources.source import SPLIT_SYNONYMS, Source, find_split
from keras_cct.errors import InputError

log = logging.getLogger(__name__)


def open_folder(source: Source) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a folder.

    Each split is a folder, under any of the names in `SPLIT_SYNONYMS`, and in it, at any depth, is a folder for each
    class. The classes are numbered in the natural order of their names among the training images ("2" before "10"), or
    as `class_map` lists them. Images become RGB. Those of a small split with one size are read into memory.

    Args:
        source: `data_dir` is the folder.

    Raises:
        InputError: A split is missing, has no images or a class without images, both are the same images, or the
            evaluation images have a class that the training images lack.
    """
    folder = Path(source.data_dir)
    train_folder, eval_folder = (_split_folder(folder, split) for split in (source.train_split, source.val_split))
    _check_apart(train_folder, eval_folder)
    train_files, eval_files = scan_images(train_folder), scan_images(eval_folder)
    class_names = order_classes((name for _, name in train_files), source.class_map)
    if source.class_map:
        train_files = _drop_unlisted(train_files, class_names, train_folder, source.class_map)
        eval_files = _drop_unlisted(eval_files, class_names, eval_folder, source.class_map)
    known, strange = split_listed(eval_files, class_names)
    if strange:
        path, name = strange[0]
        raise InputError(
            f"class {name!r} of {path!r} is not among the classes of {str(train_folder)!r}. "
            f"Put training images of it there, or leave it out with class_map."
        )
    return load_if_small(_images(train_files, class_names)), load_if_small(_images(known, class_names))


def _images(files: list[tuple[str, str]], class_names: tuple[str, ...]) -> EncodedImages:
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = np.array([numbers[name] for _, name in files], "int64")
    return EncodedImages([path for path, _ in files], labels, class_names)


def _split_folder(folder: Path, split: str) -> Path:
    try:
        present = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"cannot read data_dir={str(folder)!r}: {error.strerror}. Give a folder of images.") from error
    name = find_split(split, present)
    if name is None and split and (folder / split).is_dir():
        name = split  # a path such as "images/train"
    if name is None:
        there = ", ".join(present[:8]) + (", ..." if len(present) > 8 else "") or "none"
        wanted = next(("|".join(names) for names in SPLIT_SYNONYMS if split in names), split)
        raise InputError(
            f"data_dir={str(folder)!r} has no folder {wanted!r} for the split {split!r}, only: {there}. "
            "Put the images into train/CLASS and validation/CLASS, or name the folders with train_split and val_split."
        )
    return folder / name


def _check_apart(train_folder: Path, eval_folder: Path) -> None:
    train, evaluation = (os.path.realpath(folder) for folder in (train_folder, eval_folder))
    if os.path.commonpath((train, evaluation)) in (train, evaluation):
        raise InputError(
            f"training and evaluation would share images: {str(train_folder)!r} and {str(eval_folder)!r} are one "
            "folder, or one is in the other. Give two folders apart with train_split and val_split."
        )


def _drop_unlisted(
    files: list[tuple[str, str]], class_names: tuple[str, ...], folder: Path, class_map: str
) -> list[tuple[str, str]]:
    listed, dropped = split_listed(files, class_names)
    if not listed:
        raise InputError(f"class_map={class_map!r} names no class of {str(folder)!r}. Give a line per class folder.")
    if dropped:
        log.warning("left out %d images in %s whose class is not in %s", len(dropped), folder, class_map)
    return listed
