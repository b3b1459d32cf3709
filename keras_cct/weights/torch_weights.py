"""Weights of the original PyTorch models, in and out."""

from collections.abc import Mapping
from os import PathLike

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.weights.faults import check_shapes
from keras_cct.weights.fit import fit_state_dict
from keras_cct.weights.state_dict_file import read_state_dict, to_array
from keras_cct.weights.torch_names import torch_entries


def load_torch_weights(
    model: keras.Model, source: Mapping[str, np.ndarray] | str | PathLike, *, fit: bool = False
) -> None:
    """Copies the weights of the original PyTorch model into a Keras model of the same architecture.

    Args:
        model: A model made by this package. Its weights change only if every key of the source fits.
        source: State dict of names to arrays (or PyTorch tensors), or the path of a file that holds one, as
            `read_state_dict` says.
        fit: Whether to change the weights for images of another size or number of channels and for other classes,
            as `fit_state_dict` says; the source must come from square images then.

    Raises:
        InputError: The file cannot be read, or a key is missing, extra or misshapen; the message lists them all.
    """
    if not isinstance(source, Mapping | str | PathLike):
        raise InputError(f"a {type(source).__name__} holds no weights. Give a mapping of names to arrays, or a path.")
    if isinstance(source, Mapping):
        arrays = {key: to_array(value) for key, value in source.items()}
    else:
        arrays = read_state_dict(source)
    assign_state_dict(model, fit_state_dict(arrays, model) if fit else arrays)


def assign_state_dict(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Assigns every array of a state dict to its variable, or none.

    Raises:
        InputError: A key is missing, extra or misshapen; the message lists them all.
    """
    for key, array in arrays.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"{key} holds {array.dtype}, not floating-point numbers. Nothing was loaded.")
    entries = torch_entries(model)
    wanted = {entry.key: entry.torch_shape for entry in entries}
    check_shapes(model.name, wanted, {key: array.shape for key, array in arrays.items()})
    for entry in entries:
        entry.variable.assign(entry.to_keras(arrays[entry.key]))


def export_torch_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights of a model made by this package as the original's state dict.

    Args:
        model: A model made by this package.

    Returns:
        Names to arrays, in PyTorch's names and layout; `{key: torch.from_numpy(array)}` loads into the original.

    Raises:
        InputError: The model is not one of this package's.
    """
    return {entry.key: entry.to_torch() for entry in torch_entries(model)}
