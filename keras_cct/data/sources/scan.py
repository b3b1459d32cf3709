"""Finds the images in a folder of class folders."""

import collections
import itertools
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from keras_cct.data.pillow_images import has_image_suffix
from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MAX_CLASSES = 50_000
MAX_LISTED_KINDS = 5
_NUMBER = re.compile(r"(\d+)")
EXPECTED = "files such as .jpg, .png, .webp or .tiff"

LabeledFile = tuple[str, str]
"""Path of an image and name of its class."""


def scan_images(folder: Path, label_depth: int = 0) -> list[LabeledFile]:
    """Finds all images below a folder. The class of an image is the name of a folder that contains it.

    Symbolic links are followed, but no folder is read twice. Hidden files are ignored. Files whose names do not end
    like images are counted and named in one warning; so are ambiguous class names, and links to folders that are read
    already.

    Args:
        folder: Folder of class folders, at any depth.
        label_depth: 1 if the classes are the folders in `folder`, 2 if they are the folders in these, and so on; 0 if
            they are the innermost folders.

    Returns:
        Pairs of path and class name, in the natural order of the paths.

    Raises:
        InputError: There are no images, some are outside of a class folder, a class folder is empty, or there are more
            than 50,000 classes.
    """
    groups, skipped, repeated = _scan(folder)
    if not groups:
        raise InputError(f"no images found in {str(folder)!r}. Expected one folder per class with {EXPECTED}.")
    class_of: dict[str, str] = {}
    files = []
    for path in _in_natural_order(groups):
        parent = path.rpartition(os.sep)[0]
        if parent not in class_of:
            class_of[parent] = _class_of(path, folder, label_depth)
        files.append((path, class_of[parent]))
    num_classes = len(set(class_of.values()))
    if num_classes > MAX_CLASSES:
        raise InputError(
            f"{str(folder)!r} has {num_classes:,} classes for {len(files):,} images, more than {MAX_CLASSES:,}. If the "
            f"classes are the outer folders, set label_depth to 1."
        )
    _warn_about_skipped(skipped, len(files))
    if repeated:
        log.warning("left out %d links to folders that are read already, the first is %r", len(repeated), repeated[0])
    _warn_about_names(class_of, folder, label_depth)
    return files


def natural_sort_key(text: str) -> tuple:
    """Returns a sort key that ignores case and compares numbers by value: "img2" before "Img10"."""
    parts = _NUMBER.split(text.lower())
    # Every second part is a number. The text itself breaks ties.
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def contains_images(folder: Path) -> bool:
    """Returns whether a folder contains image files directly."""
    with os.scandir(folder) as entries:
        return any(has_image_suffix(entry.name) and not entry.is_dir() for entry in entries)


def _in_natural_order(groups: list[list[str]]) -> list[str]:
    """Merges groups of paths, each in natural order, into one list in natural order.

    The keys of all paths would take more memory than the paths, and those of the first and last path of each folder
    are mostly enough.
    """
    ordered: list[list[str]] = []
    for group in sorted(groups, key=lambda paths: natural_sort_key(paths[0])):
        if ordered and natural_sort_key(group[0]) < natural_sort_key(ordered[-1][-1]):
            ordered[-1] = sorted(ordered[-1] + group, key=natural_sort_key)
        else:
            ordered.append(group)
    return list(itertools.chain.from_iterable(ordered))


def _scan(top: Path) -> tuple[list[list[str]], list[str], list[str]]:
    """Returns the paths of the images, of other files, and of links to folders that other paths lead to, too.

    The images of each folder are a list in natural order. Each folder is read once: a few dozen links can form billions
    of paths.
    """
    found, skipped, repeated = [], [], []
    seen, waiting = {_identity(top)}, [str(top)]
    while waiting:
        folder = waiting.pop()
        is_top = folder == str(top)
        images, folders, others = _read_folder(folder)
        skipped += others
        if is_top and images:
            raise InputError(
                f"{images[0]!r} is not in a class folder. Move the images of each class into a folder named after the "
                "class."
            )
        if not is_top and not images and not folders:
            raise InputError(f"class folder {folder!r} has no images ({EXPECTED}). Add some or remove the folder.")
        if images:
            found.append(images)
        for path in reversed(folders):
            identity = _identity(path)
            if identity in seen:
                repeated.append(path)
            else:
                seen.add(identity)
                waiting.append(path)
    return found, skipped, repeated


def _read_folder(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Returns the paths of the images in a folder in natural order, of the folders sorted, and of other files."""
    images, folders, others = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.path)
                elif has_image_suffix(entry.name):
                    images.append(_image_path(entry))
                else:
                    others.append(entry.path)
    except OSError as error:
        raise InputError(f"cannot read {folder!r}: {error.strerror}. Check its permissions.") from error
    start = len(folder) + len(os.sep)  # the part of the paths that is equal does not change their order
    images.sort(key=lambda path: natural_sort_key(path[start:]))
    return images, sorted(folders), others


def _identity(folder: str | Path) -> tuple[int, int]:
    """Returns device and inode, which identify a folder whatever link leads to it."""
    status = os.stat(folder)  # noqa: PTH116 # a dataset can have a million folders
    return status.st_dev, status.st_ino


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


def _class_of(path: str, folder: Path, label_depth: int) -> str:
    folders = PurePath(path).relative_to(folder).parts[:-1]
    if label_depth > len(folders):
        raise InputError(
            f"label_depth={label_depth}, but the folder depth of {path!r} in {str(folder)!r} is {len(folders)}. "
            f"Set label_depth to {len(folders)} or less."
        )
    return folders[label_depth - 1]


def _warn_about_skipped(skipped: Sequence[str], num_images: int) -> None:
    if skipped:
        kinds = collections.Counter(PurePath(path).suffix.lower() or "no suffix" for path in skipped)
        by_count = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
        listed = ", ".join(f"{count} {kind}" for kind, count in by_count[:MAX_LISTED_KINDS])
        log.warning(
            "left out %d %s not named like images (%s), the first is %r; %d images remain",
            len(skipped),
            "file" if len(skipped) == 1 else "files",
            listed,
            min(skipped, key=natural_sort_key),
            num_images,
        )


def _warn_about_names(class_of: Mapping[str, str], folder: Path, label_depth: int) -> None:
    """Warns of classes that differ only in case, and of classes with the same name in several folders.

    Args:
        class_of: Class of the images in each folder.
        folder: The folder that contains all of them.
        label_depth: As for `scan_images`.
    """
    names = sorted(set(class_of.values()))
    by_folded_name: dict[str, str] = {}
    for name in names:
        other = by_folded_name.setdefault(name.casefold(), name)
        if other != name:
            log.warning(
                "the classes %r and %r differ only in case and stay two classes; rename one to merge", other, name
            )
    if label_depth:
        return
    parents: dict[str, str] = {}
    for parent, name in class_of.items():
        other = parents.setdefault(name, parent)
        if other != parent:
            log.warning(
                "%r and %r in %s have the same name and become one class; set label_depth to 1 for the outer folders",
                os.path.relpath(other, folder),
                os.path.relpath(parent, folder),
                folder,
            )
            return
