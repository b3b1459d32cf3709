"""Writes a dataset from any source as a folder of PNG files."""

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import decoded_images
from keras_cct.data.sources.labels import check_labels
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError
from keras_cct.files import replacing

log = logging.getLogger(__name__)

CLASS_MAP = "class_map.txt"
FORBIDDEN_CHARACTERS = ("/", "\\", "\0", "\n")


def write_folder(train: ImageSet, evaluation: ImageSet, folder: str | PathLike) -> Path:
    """Writes FOLDER/train/CLASS/NUMBER.png, FOLDER/validation/CLASS/NUMBER.png and FOLDER/class_map.txt.

    With that file as `class_map`, the written images have the same labels as in the source. The folder is written
    atomically.

    Args:
        train: Training images.
        evaluation: Evaluation images with the same classes.
        folder: Folder to create.

    Returns:
        The path of class_map.txt.

    Raises:
        InputError: The folder exists, a class name is not a valid folder name, a label is out of range, or too many
            images cannot be read.
    """
    path = Path(folder)
    if path.exists():
        raise InputError(f"{str(path)!r} already exists. Choose a new folder; nothing is overwritten.")
    _check_names(train.class_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        for split, data in (("train", train), ("validation", evaluation)):
            with raising_input_errors(data):
                _write_split(data, temporary / split)
        (temporary / CLASS_MAP).write_text("".join(f"{name}\n" for name in train.class_names))
    return path / CLASS_MAP


def _check_names(names: Sequence[str]) -> None:
    seen = set()
    for name in names:
        is_forbidden = any(character in name for character in FORBIDDEN_CHARACTERS)
        if not name or name != name.strip() or name.startswith(".") or is_forbidden:
            raise InputError(f"class name {name!r} is not a valid folder name. Rename the class.")
        if name.lower() in seen:
            raise InputError(
                f"two classes are named {name!r} if case is ignored, but each needs its own folder. Rename one of them."
            )
        seen.add(name.lower())


def _write_split(data: ImageSet, folder: Path) -> None:
    num_digits = len(str(len(data) - 1))
    pngs = decoded_images(data).map(lambda image, label: (tf.io.encode_png(image), label), tf.data.AUTOTUNE)
    for number, (content, label) in enumerate(pngs.as_numpy_iterator()):
        check_labels(np.atleast_1d(label), len(data.class_names), folder.name)
        path = folder / data.class_names[label] / f"{number:0{num_digits}}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    log.info("wrote %d images to %s", len(data), folder.name)
