"""Weights files, told apart by their endings."""

import warnings
from os import PathLike
from pathlib import Path

import keras

from keras_cct.errors import InputError
from keras_cct.weights.torch_weights import load_torch_weights

KERAS_ENDING = ".weights.h5"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")


def check_weights_file(path: str | PathLike) -> None:
    """Raises an error unless `load_weights_file` can take on this path.

    Raises:
        InputError: There is no file, or its ending is unknown.
    """
    endings = (KERAS_ENDING, *TORCH_ENDINGS)
    if not str(path).endswith(endings):
        raise InputError(f"weights={str(path)!r} is no file of weights. Give a path that ends in {', '.join(endings)}.")
    if not Path(path).is_file():
        raise InputError(f"weights={str(path)!r} does not exist. Give the path of a file of weights.")


def load_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Copies the weights in a file into a model of the same architecture.

    Args:
        model: A model made by this package.
        path: A `.weights.h5` file, or a PyTorch state dict (`.pth`, `.pt`, `.pth.tar`).

    Raises:
        InputError: The file cannot be read or does not fit.
    """
    check_weights_file(path)
    if not str(path).endswith(KERAS_ENDING):
        load_torch_weights(model, path)
        return
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that find no weights in the file.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{str(path)!r} does not fit model {model.name!r}: {reason}") from error
