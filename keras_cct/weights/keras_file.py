"""Reads `.keras` files."""

import zipfile
from os import PathLike
from pathlib import Path

import keras

from keras_cct.errors import InputError


def read_keras_file(path: str | PathLike) -> keras.Model:
    """Returns the model in a `.keras` file, without its optimizer.

    Raises:
        InputError: The file is missing or broken.
    """
    if not Path(path).is_file():
        kind = "is a folder" if Path(path).is_dir() else "does not exist"
        raise InputError(f"{str(path)!r} {kind}. Give a .keras file.")
    if not str(path).endswith(".keras") or not zipfile.is_zipfile(path):
        raise InputError(f"{str(path)!r} is not a .keras file, or a broken one. Give one that `model.save` wrote.")
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{str(path)!r} cannot be loaded as a Keras model: {reason}") from error
