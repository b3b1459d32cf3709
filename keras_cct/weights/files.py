"""Files of weights, told apart by their endings."""

import tempfile
from os import PathLike
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_cct.atomic import replacing
from keras_cct.errors import InputError
from keras_cct.weights.faults import Shapes, check_shapes
from keras_cct.weights.fit import fit_state_dict
from keras_cct.weights.keras_file import read_keras_file
from keras_cct.weights.state_dict_file import SAFETENSORS_ENDING, TORCH_ENDINGS, read_state_dict, write_state_dict
from keras_cct.weights.torch_file import import_torch
from keras_cct.weights.torch_weights import assign_state_dict, export_torch_weights, load_torch_weights

MODEL_ENDING = ".keras"
WEIGHTS_ENDING = ".weights.h5"
ENDINGS = (MODEL_ENDING, WEIGHTS_ENDING, SAFETENSORS_ENDING, *TORCH_ENDINGS)


def check_ending(path: str | PathLike) -> None:
    """Checks that a name is that of a file of weights which this installation can read and write.

    Raises:
        InputError: Its ending is unknown, or needs PyTorch, which is not installed.
    """
    name = str(path)
    if not name.endswith(ENDINGS):
        raise InputError(f"{name!r} is no file of weights. Give a name that ends in {', '.join(ENDINGS)}.")
    if name.endswith(TORCH_ENDINGS):
        import_torch()


def check_new_file(path: str | PathLike) -> None:
    """Checks that `save_weights_file` can write to a path, before any work is done.

    Raises:
        InputError: There is something already, no folder to write to, or the ending cannot be written.
    """
    check_ending(path)
    if Path(path).exists():
        raise InputError(f"{str(path)!r} exists already. Remove it or give another name.")
    if not Path(path).parent.is_dir():
        raise InputError(f"{str(Path(path).parent)!r} is no folder to write to. Make it or give another.")


def load_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Copies the weights in a file into a model, fitted to its images and classes as `fit_state_dict` says.

    Args:
        model: A model made by this package.
        path: A `.keras` file, a state dict (`.safetensors`, `.pth`, `.pt`, `.pth.tar`), or a `.weights.h5` file, which
            only fits the model that wrote it.

    Raises:
        InputError: The file cannot be read or does not fit.
    """
    if str(path).endswith(MODEL_ENDING):
        source = read_keras_file(path)
        arrays = export_torch_weights(source)
        grid = source.get_layer("tokenizer").token_grid(source.input_shape)
        assign_state_dict(model, fit_state_dict(arrays, model, grid))
    elif str(path).endswith(WEIGHTS_ENDING):
        _load_keras_weights(model, path)
    else:
        load_torch_weights(model, path, fit=True)


def save_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Writes the weights of a model to a new file, whole or not at all, and reads it back to compare.

    Args:
        model: A model made by this package.
        path: A name that ends in `.keras` (the whole model), `.weights.h5`, or, for a state dict in the original's
            names, `.safetensors`, `.pth`, `.pt` or `.pth.tar`, of which the last three need PyTorch.

    Raises:
        InputError: The file exists or cannot be written, or the model is not one of this package's.
        RuntimeError: The file holds other weights; it is not left.
    """
    check_new_file(path)
    arrays = export_torch_weights(model)
    with replacing(Path(path)) as temporary:
        if str(path).endswith(MODEL_ENDING):
            model.save(temporary)
        elif str(path).endswith(WEIGHTS_ENDING):
            model.save_weights(temporary)
        else:
            write_state_dict(arrays, temporary)
        _compare(_read_back(temporary, model), arrays)


def shapes_in_keras_weights(path: str | PathLike) -> Shapes:
    """Returns the names and shapes of the arrays in a `.weights.h5` file.

    Raises:
        InputError: The file is broken.
    """
    shapes = {}
    try:
        with h5py.File(path) as file:
            file.visititems(lambda name, item: shapes.update({name: item.shape}) if hasattr(item, "shape") else None)
    except OSError as error:
        raise InputError(f"{str(path)!r} is not a file of Keras weights, or a broken one. Give another.") from error
    return shapes


def _load_keras_weights(model: keras.Model, path: str | PathLike) -> None:
    """Loads a `.weights.h5` file strictly; Keras alone overlooks what the model or the file has too much."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "own.weights.h5")
        model.save_weights(own)
        wanted = shapes_in_keras_weights(own)
    check_shapes(model.name, wanted, shapes_in_keras_weights(path))
    model.load_weights(path)


def _read_back(path: Path, model: keras.Model) -> dict[str, np.ndarray]:
    if str(path).endswith(MODEL_ENDING):
        return export_torch_weights(read_keras_file(path))
    if str(path).endswith(WEIGHTS_ENDING):
        copy = keras.models.clone_model(model)
        _load_keras_weights(copy, path)
        return export_torch_weights(copy)
    return read_state_dict(path)


def _compare(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    wrong = [key for key in wanted if key not in found or not np.array_equal(found[key], wanted[key], equal_nan=True)]
    if wrong or len(found) != len(wanted):
        raise RuntimeError(f"the file holds other weights than the model: {', '.join(wrong) or 'more'}. Not kept.")
