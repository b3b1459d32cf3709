"""Files of weights, told apart by their endings."""

import warnings
from os import PathLike
from pathlib import Path

import keras

from keras_cct.errors import InputError
from keras_cct.weights.fit import fit_state_dict
from keras_cct.weights.keras_file import read_keras_file
from keras_cct.weights.torch_weights import assign_state_dict, export_torch_weights, load_torch_weights

MODEL_ENDING = ".keras"
WEIGHTS_ENDING = ".weights.h5"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")


def check_weights_file(path: str | PathLike) -> None:
    """Raises an error unless `load_weights_file` can take on this path.

    Raises:
        InputError: There is no file, or its ending is unknown.
    """
    endings = (MODEL_ENDING, WEIGHTS_ENDING, *TORCH_ENDINGS)
    if not str(path).endswith(endings):
        raise InputError(f"weights={str(path)!r} is no file of weights. Give a path that ends in {', '.join(endings)}.")
    if not Path(path).is_file():
        raise InputError(f"weights={str(path)!r} does not exist. Give the path of a file of weights.")


def load_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Copies the weights in a file into a model, fitted to its images and classes as `fit_state_dict` says.

    Args:
        model: A model made by this package.
        path: A `.keras` file, a PyTorch state dict (`.pth`, `.pt`, `.pth.tar`), or a `.weights.h5` file, which only
            fits the model that wrote it.

    Raises:
        InputError: The file cannot be read or does not fit.
    """
    check_weights_file(path)
    if str(path).endswith(TORCH_ENDINGS):
        load_torch_weights(model, path, fit=True)
    elif str(path).endswith(MODEL_ENDING):
        source = read_keras_file(path)
        arrays = export_torch_weights(source)
        grid = source.get_layer("tokenizer").token_grid(source.input_shape)
        assign_state_dict(model, fit_state_dict(arrays, model, grid))
    else:
        _load_keras_weights(model, path)


def _load_keras_weights(model: keras.Model, path: str | PathLike) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that find no weights in the file.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{str(path)!r} does not fit model {model.name!r}: {reason}") from error
