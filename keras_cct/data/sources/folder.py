"""A folder with a folder of images for each split."""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_cct.data.images import EncodedImages, ImageSet
from keras_cct.data.sources.cache import load_if_small
from keras_cct.data.sources.source import SPLIT_SYNONYMS, Source, find_split
from keras_cct.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg")


def natural_key(text: str) -> tuple:
    """Returns a key that sorts without regard to case and by the value of numbers: "img2" before "Img10"."""
    parts = re.split(r"(\d+)", text.lower())
    # Every second part is a number. The text itself decides between what is otherwise equal.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], text


def scan_images(folder: Path) -> list[tuple[str, str]]:
    """Finds all images below a folder; the folder that an image is in is its class.

    Links are followed, but not in circles. Names that begin with a dot are left out, and so are files that are not
    called .png, .jpg or .jpeg.

    Args:
        folder: Folder of class folders, at any depth.

    Returns:
        Pairs of path and class, in natural order of the paths.

    Raises:
        InputError: There are no images, some are in no class folder, or a folder has neither images nor folders.
    """
    found = []
    _scan(folder, found, {os.path.realpath(folder)})
    loose = next((path for path, _ in found if os.path.dirname(path) == str(folder)), None)
    if loose is not None:
        raise InputError(f"{loose!r} is in no class folder. Put the images of each class into a folder of its name.")
    if not found:
        raise InputError(
            f"{str(folder)!r} has no images ({', '.join(ENDINGS)}). Give a folder with a folder per class."
        )
    return sorted(found, key=lambda pair: natural_key(pair[0]))


def _scan(folder: Path, found: list[tuple[str, str]], ancestors: set[str]) -> None:
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot read {str(folder)!r}: {error.strerror}.") from error
    images = [entry.path for entry in entries if entry.name.lower().endswith(ENDINGS) and not entry.is_dir()]
    found += [(path, os.path.basename(folder)) for path in images]
    folders = [entry.path for entry in entries if entry.is_dir()]
    if not images and not folders and len(ancestors) > 1:
        raise InputError(
            f"{str(folder)!r} is a class without images ({', '.join(ENDINGS)}). Remove it, or put some there."
        )
    for path in folders:
        real = os.path.realpath(path)
        if real not in ancestors:
            _scan(Path(path), found, ancestors | {real})


def order_classes(names: Iterable[str], class_map: str) -> tuple[str, ...]:
    """Returns the classes in the order of their numbers: that of the file `class_map`, or natural order if it is empty.

    Raises:
        InputError: The file cannot be read, is empty or names a class twice.
    """
    if not class_map:
        return tuple(sorted(set(names), key=natural_key))
    try:
        listed = [line.strip() for line in Path(class_map).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"class_map={class_map!r} cannot be read: {error}. Give a text file.") from error
    twice = next((name for name in listed if listed.count(name) > 1), None)
    if twice is not None or not listed:
        fault = "has no lines" if twice is None else f"names {twice!r} twice"
        raise InputError(f"class_map={class_map!r} {fault}. Give each class a line.")
    return tuple(listed)


def split_listed(
    images: Sequence[tuple[str, str]], class_names: Sequence[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns the pairs whose class is among those named, and the others."""
    listed = set(class_names)
    return [pair for pair in images if pair[1] in listed], [pair for pair in images if pair[1] not in listed]


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
