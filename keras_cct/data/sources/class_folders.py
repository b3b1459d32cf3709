"""Image files in a folder for each class."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

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
