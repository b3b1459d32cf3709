"""Files of weights, told apart by their endings."""

import tempfile
from os import PathLike
from pathlib import Path

import h5py
import keras

from keras_cct.catalogue import find_checkpoint
from keras_cct.errors import InputError
from keras_cct.weights.download import cache_folder, download
from keras_cct.weights.faults import check_shapes
from keras_cct.weights.fit import fit_state_dict
from keras_cct.weights.keras_file import read_keras_file
from keras_cct.weights.torch_weights import assign_state_dict, export_torch_weights, load_torch_weights

MODEL_ENDING = ".keras"
WEIGHTS_ENDING = ".weights.h5"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")


def find_weights(variant: str, weights: str | PathLike) -> Path:
    """Returns the file that `create_model(variant, weights=...)` means, downloaded if need be.

    Args:
        variant: Name of the variant.
        weights: Tag of a published checkpoint, an address, or the path of a file.

    Raises:
        InputError: There is no such checkpoint or file, its ending is unknown, or it cannot be downloaded.
    """
    name = str(weights)
    if "." not in name and "/" not in name:
        return download(find_checkpoint(variant, name).url, cache_folder())
    endings = (MODEL_ENDING, WEIGHTS_ENDING, *TORCH_ENDINGS)
    if not name.endswith(endings):
        raise InputError(f"weights={name!r} is no file of weights. Give a name that ends in {', '.join(endings)}.")
    if name.startswith(("http://", "https://")):
        return download(name, cache_folder())
    if not Path(name).is_file():
        raise InputError(f"weights={name!r} does not exist. Give the path of a file of weights.")
    return Path(name)


def load_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Copies the weights in a file into a model, fitted to its images and classes as `fit_state_dict` says.

    Args:
        model: A model made by this package.
        path: A `.keras` file, a PyTorch state dict (`.pth`, `.pt`, `.pth.tar`), or a `.weights.h5` file, which only
            fits the model that wrote it.

    Raises:
        InputError: The file cannot be read or does not fit.
    """
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
    """Loads a `.weights.h5` file strictly; Keras alone overlooks what the model or the file has too much."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "own.weights.h5")
        model.save_weights(own)
        wanted = _shapes_in(own)
    try:
        found = _shapes_in(path)
    except OSError as error:
        raise InputError(f"{str(path)!r} is not a file of Keras weights, or a broken one. Give another.") from error
    check_shapes(model.name, wanted, found)
    model.load_weights(path)


def _shapes_in(path: str | PathLike) -> dict[str, tuple[int, ...]]:
    shapes = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: shapes.update({name: item.shape}) if hasattr(item, "shape") else None)
    return shapes
