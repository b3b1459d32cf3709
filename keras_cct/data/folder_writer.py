"""Any data source as a folder of PNG files."""

import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import tensorflow as tf

from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import decoded_images
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError
from keras_cct.files import replacing

log = logging.getLogger(__name__)

CLASS_MAP = "class_map.txt"
FORBIDDEN = ("/", "\\", "\0", "\n")


def write_folder(train: ImageSet, evaluation: ImageSet, folder: str | PathLike) -> Path:
    """Writes FOLDER/train/CLASS/NUMBER.png and FOLDER/validation/CLASS/NUMBER.png, and FOLDER/class_map.txt.

    Read back with that `class_map`, the images have the same labels. The folder appears whole or not at all.

    Args:
        train: Training images.
        evaluation: Evaluation images, of the same classes.
        folder: Folder to make.

    Returns:
        The path of class_map.txt.

    Raises:
        InputError: The folder exists, a class cannot be the name of a folder, or too many images cannot be read.
    """
    path = Path(folder)
    if path.exists():
        raise InputError(f"{str(path)!r} exists already. Give a new folder; nothing is overwritten.")
    _check_names(train.class_names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        for split, data in (("train", train), ("validation", evaluation)):
            with raising_input_errors(data):
                _write_split(data, temporary / split)
        (temporary / CLASS_MAP).write_text("".join(f"{name}\n" for name in train.class_names))
    return path / CLASS_MAP


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name != name.strip() or name.startswith(".") or any(sign in name for sign in FORBIDDEN) or not name:
            raise InputError(f"class {name!r} cannot be the name of a folder. Rename it.")
    folded = [name.lower() for name in names]
    twice = next((name for name in folded if folded.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two classes are called {twice!r}, and each needs a folder of its own. Rename one.")


def _write_split(data: ImageSet, folder: Path) -> None:
    digits = len(str(len(data) - 1))
    pngs = decoded_images(data).map(lambda image, label: (tf.io.encode_png(image), label), tf.data.AUTOTUNE)
    for number, (content, label) in enumerate(pngs.as_numpy_iterator()):
        path = folder / data.class_names[label] / f"{number:0{digits}}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    log.info("wrote %d images into %s", len(data), folder.name)
