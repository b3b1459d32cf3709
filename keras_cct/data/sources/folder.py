"""Image folders: one folder per split, and in it one folder per class."""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_cct.data.images import EncodedImages, ImageSet
from keras_cct.data.sources.cache import cache_if_small
from keras_cct.data.sources.labels import warn_about_empty_classes
from keras_cct.data.sources.source import SPLIT_SYNONYMS, Source, find_split
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_LISTED_FOLDERS = 8
MAX_CLASS_MAP_BYTES = 2**20


def open_folder(source: Source) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a folder.

    Each split is a folder with one of the names in `SPLIT_SYNONYMS`, and contains one folder per class, at any depth.
    Labels follow the natural order of the class names among the training images ("2" before "10"), or the order of
    `class_map`. Images are converted to RGB. Small splits of images with one size are cached in memory.

    With a class map, images of unlisted classes are left out and listed classes without training images are kept; both
    are logged as warnings.

    Args:
        source: `data_dir` is the path of the folder.

    Raises:
        InputError: A split is missing, has no images or has a class without images; both splits share images; or the
            evaluation images have a class that the training images lack.
    """
    folder = Path(source.data_dir)
    train_folder, eval_folder = (_find_split_folder(folder, split) for split in (source.train_split, source.val_split))
    _check_disjoint(train_folder, eval_folder)
    train_files, eval_files = scan_images(train_folder), scan_images(eval_folder)
    class_names = order_classes((name for _, name in train_files), source.class_map)
    if source.class_map:
        train_files = _drop_unlisted(train_files, class_names, train_folder, source.class_map)
        eval_files = _drop_unlisted(eval_files, class_names, eval_folder, source.class_map)
    _, unknown = partition_by_class(eval_files, class_names)
    if unknown:
        path, name = unknown[0]
        raise InputError(
            f"class {name!r} of {path!r} has no training images in {str(train_folder)!r}. "
            "Add some, or leave the class out with class_map."
        )
    train, evaluation = (_encoded_images(files, class_names) for files in (train_files, eval_files))
    warn_about_empty_classes(train.labels, class_names, str(train_folder))
    return cache_if_small(train), cache_if_small(evaluation)


def scan_images(folder: Path) -> list[tuple[str, str]]:
    """Finds all images below a folder. The class of an image is the name of the folder that contains it.

    Symbolic links are followed, except in cycles. Hidden files and files with other suffixes than .png, .jpg and .jpeg
    are ignored.

    Args:
        folder: Folder of class folders, at any depth.

    Returns:
        Pairs of path and class name, in the natural order of the paths.

    Raises:
        InputError: There are no images, some are outside of a class folder, or a class folder is empty.
    """
    found = []
    _scan(folder, found, {os.path.realpath(folder)})
    if not found:
        raise InputError(
            f"no images found in {str(folder)!r}. Expected one folder per class with {', '.join(IMAGE_SUFFIXES)} files."
        )
    return sorted(found, key=lambda pair: natural_sort_key(pair[0]))


def _scan(folder: Path, found: list[tuple[str, str]], ancestors: set[str]) -> None:
    """Appends the images of a folder and those of the folders in it.

    Args:
        folder: Folder to search.
        found: Pairs of path and class name to append to.
        ancestors: Real paths of this folder and of the ones that lead to it.
    """
    is_top = len(ancestors) == 1
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"cannot read {str(folder)!r}: {error.strerror}. Check its permissions.") from error
    images = [
        _image_path(entry) for entry in entries if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.is_dir()
    ]
    folders = [entry.path for entry in entries if entry.is_dir()]
    if is_top and images:
        raise InputError(
            f"{min(images, key=natural_sort_key)!r} is not in a class folder. Move the images of each class into a "
            "folder named after the class."
        )
    if not is_top and not images and not folders:
        raise InputError(
            f"class folder {str(folder)!r} has no images ({', '.join(IMAGE_SUFFIXES)}). Add some or remove the folder."
        )
    found += [(path, folder.name) for path in images]
    for path in folders:
        real_path = os.path.realpath(path)
        if real_path not in ancestors:
            _scan(Path(path), found, ancestors | {real_path})


def _image_path(entry: "os.DirEntry[str]") -> str:
    """Returns the path of an image file, or of a dangling link, which counts as an unreadable image later.

    Raises:
        InputError: It is a pipe, socket or device, from which reading may never end, or its name is not valid UTF-8.
    """
    if not entry.is_file() and Path(entry.path).exists():
        raise InputError(f"{entry.path!r} is not a regular file. Remove it.")
    if not entry.path.isprintable():
        try:
            entry.path.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name of {entry.path!r} is not valid UTF-8. Rename it.") from error
    return entry.path


def natural_sort_key(text: str) -> tuple:
    """Returns a sort key that ignores case and compares numbers by value: "img2" before "Img10"."""
    parts = re.split(r"(\d+)", text.lower())
    # Every second part is a number. The text itself breaks ties.
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def order_classes(names: Iterable[str], class_map: str) -> tuple[str, ...]:
    """Returns the class names in the order of their labels: that of the file `class_map`, or natural order without one.

    Raises:
        InputError: The file cannot be read, is empty or lists a class twice.
    """
    if not class_map:
        return tuple(sorted(set(names), key=natural_sort_key))
    file = check_is_file(class_map, "Set class_map to a text file with one class per line.")
    if file.stat().st_size > MAX_CLASS_MAP_BYTES:
        raise InputError(f"class_map={class_map!r} has more than {MAX_CLASS_MAP_BYTES:,} bytes. Use a text file.")
    with reading(class_map, "a text file in UTF-8", "Set class_map to a text file with one class per line."):
        listed = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not listed:
        raise InputError(f"class_map={class_map!r} is empty. Write one class per line.")
    seen = set()
    for name in listed:
        if name in seen:
            raise InputError(f"class_map={class_map!r} lists {name!r} twice. Write one class per line.")
        seen.add(name)
    return tuple(listed)


def partition_by_class(
    files: Sequence[tuple[str, str]], class_names: Sequence[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns the pairs of path and class whose class is listed, and the other pairs."""
    listed = set(class_names)
    return [pair for pair in files if pair[1] in listed], [pair for pair in files if pair[1] not in listed]


def _encoded_images(files: list[tuple[str, str]], class_names: tuple[str, ...]) -> EncodedImages:
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = np.array([label_of[name] for _, name in files], "int64")
    return EncodedImages([path for path, _ in files], labels, class_names)


def _find_split_folder(folder: Path, split: str) -> Path:
    try:
        present = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"cannot read data_dir={str(folder)!r}: {error.strerror}. Use a folder of images that you can read."
        ) from error
    name = find_split(split, present)
    if name is None and split and (folder / split).is_dir():
        name = split  # a path such as "images/train"
    if name is None:
        listed = ", ".join(present[:MAX_LISTED_FOLDERS]) + (", ..." if len(present) > MAX_LISTED_FOLDERS else "")
        expected = next(("|".join(names) for names in SPLIT_SYNONYMS if split in names), split)
        raise InputError(
            f"data_dir={str(folder)!r} has no folder {expected!r} for the split {split!r}; its folders are: "
            f"{listed or '(none)'}. Move the images to train/CLASS and validation/CLASS, or set train_split and "
            "val_split."
        )
    return folder / name


def _check_disjoint(train_folder: Path, eval_folder: Path) -> None:
    train, evaluation = (os.path.realpath(folder) for folder in (train_folder, eval_folder))
    if os.path.commonpath((train, evaluation)) in (train, evaluation):
        raise InputError(
            f"the training folder {str(train_folder)!r} and the evaluation folder {str(eval_folder)!r} share images: "
            "they are the same folder, or one contains the other. Set train_split and val_split to separate folders."
        )


def _drop_unlisted(
    files: list[tuple[str, str]], class_names: tuple[str, ...], folder: Path, class_map: str
) -> list[tuple[str, str]]:
    listed, dropped = partition_by_class(files, class_names)
    if not listed:
        raise InputError(
            f"class_map={class_map!r} lists none of the classes in {str(folder)!r}. Write one class folder per line."
        )
    if dropped:
        log.warning("left out %d images in %s whose class is not listed in %s", len(dropped), folder, class_map)
    return listed
