"""Loads, saves and inspects weights files of every supported format."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_cct.errors import InputError, VerificationError
from keras_cct.files import check_is_file, reading, replacing
from keras_cct.models import names
from keras_cct.weights.adapt import CLASS_TOKEN_KEY, FIRST_KERNEL_KEY, HEAD_KEYS, POSITION_KEY, adapt_state_dict
from keras_cct.weights.formats import (
    MODEL_ENDING,
    SAFETENSORS_ENDING,
    TORCH_ENDINGS,
    read_keras_file,
    read_state_dict,
    to_array,
    write_state_dict,
)
from keras_cct.weights.hdf5 import (
    assign_stored_arrays,
    keras_file_bytes,
    saved_variables,
    stored_arrays,
    weights_file_bytes,
)
from keras_cct.weights.mapping import Shapes, assign_state_dict, check_shapes, export_torch_weights
from keras_cct.weights.torch_file import import_torch

WEIGHTS_ENDING = ".weights.h5"
ENDINGS = (MODEL_ENDING, WEIGHTS_ENDING, SAFETENSORS_ENDING, *TORCH_ENDINGS)


def check_ending(path: str | PathLike) -> None:
    """Checks that this installation supports the format that a file name stands for.

    Raises:
        InputError: The ending is unknown, or it requires PyTorch, which is not installed.
    """
    name = str(path)
    if not name.endswith(ENDINGS):
        raise InputError(f"{name!r} is not a weights file. Expected a name that ends in {', '.join(ENDINGS)}.")
    if name.endswith(TORCH_ENDINGS):
        import_torch()


def check_new_file(path: str | PathLike) -> None:
    """Checks that `save_weights_file` can write to a path, before any work is done.

    Raises:
        InputError: The path exists, its folder does not exist, or its ending is not supported.
    """
    check_ending(path)
    if Path(path).exists():
        raise InputError(f"{str(path)!r} exists already. Remove it or choose another name.")
    if not Path(path).parent.is_dir():
        raise InputError(f"folder {str(Path(path).parent)!r} does not exist. Create it or choose another one.")


def load_weights_file(model: keras.Model, path: str | PathLike, *, trust: bool = False) -> None:
    """Loads the weights in a file into a model, adapted to its input shape and classes by `adapt_state_dict`.

    Args:
        model: A model made by this package.
        path: A `.keras` file, a state dict (`.safetensors`, `.pth`, `.pt`, `.pth.tar`), or a `.weights.h5` file. The
            last is not adapted: it must come from a model of the same architecture.
        trust: Whether a `.keras` file may contain other layers than those of this package, and so run any code.

    Raises:
        InputError: The file cannot be read or does not match the model.
    """
    if str(path).endswith(MODEL_ENDING):
        source = read_keras_file(path, trust=trust)
        with reading(path, "a .keras file of a model made by keras_cct"):
            arrays = export_torch_weights(source)
            grid = source.get_layer(names.TOKENIZER).token_grid(source.input_shape)
        assign_state_dict(model, adapt_state_dict(arrays, model, grid))
    elif str(path).endswith(WEIGHTS_ENDING):
        _load_keras_weights(model, path)
    else:
        load_torch_weights(model, path, adapt=True)


def load_torch_weights(
    model: keras.Model, source: Mapping[str, np.ndarray] | str | PathLike, *, adapt: bool = False
) -> None:
    """Loads the weights of a PyTorch model of the reference implementation into a Keras model.

    Args:
        model: A model made by this package. It is unchanged if any key or shape does not match.
        source: State dict (names to arrays or PyTorch tensors), or the path of a file for `read_state_dict`.
        adapt: Whether to adapt the weights to another input shape or number of classes, as `adapt_state_dict` does.
            The weights must come from a model for square images.

    Raises:
        InputError: The file cannot be read, or a key is missing, unexpected or has another shape.
    """
    if not isinstance(source, Mapping | str | PathLike):
        raise InputError(f"source is a {type(source).__name__}. Pass a mapping of names to arrays, or a path.")
    if isinstance(source, Mapping):
        arrays = {key: to_array(value) for key, value in source.items()}
    else:
        arrays = read_state_dict(source)
    assign_state_dict(model, adapt_state_dict(arrays, model) if adapt else arrays)


def save_weights_file(model: keras.Model, path: str | PathLike) -> None:
    """Writes the weights of a model to a new file, atomically, and verifies the file by reading it back.

    Args:
        model: A model made by this package.
        path: A name that ends in `.keras` (the whole model), `.weights.h5`, or, for a state dict with the names of the
            reference implementation, `.safetensors`, `.pth`, `.pt` or `.pth.tar`. The last three require PyTorch.

    Raises:
        InputError: The file exists, its folder does not exist, or the model was not made by this package or is
            quantized.
        OSError: The file cannot be written, because the disk is full for example.
        VerificationError: The written weights differ from the model's; the file is deleted.
    """
    check_new_file(path)
    arrays = export_torch_weights(model)
    with replacing(Path(path)) as temporary:
        if str(path).endswith(MODEL_ENDING):
            temporary.write_bytes(keras_file_bytes(model))
        elif str(path).endswith(WEIGHTS_ENDING):
            temporary.write_bytes(weights_file_bytes(model))
        else:
            write_state_dict(arrays, temporary)
        _check_identical(_read_back(temporary, model), arrays)


def _read_back(path: Path, model: keras.Model) -> dict[str, np.ndarray]:
    if str(path).endswith(MODEL_ENDING):
        return export_torch_weights(read_keras_file(path))
    if str(path).endswith(WEIGHTS_ENDING):
        copy = keras.models.clone_model(model)
        _load_keras_weights(copy, path)
        return export_torch_weights(copy)
    return read_state_dict(path)


def _check_identical(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    differences = [
        key
        for key in expected.keys() | found.keys()
        if key not in found or key not in expected or not np.array_equal(found[key], expected[key], equal_nan=True)
    ]
    if differences:
        raise VerificationError(f"the written weights differ from the model's: {', '.join(sorted(differences))}.")


def _load_keras_weights(model: keras.Model, path: str | PathLike) -> None:
    """Loads a `.weights.h5` file strictly; Keras alone ignores additional weights in the model or the file."""
    with _open_keras_weights(path) as file:
        arrays = stored_arrays(file, Path(path).stat().st_size)
        variables = saved_variables(model)
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        check_shapes(model.name, expected, {name: array.shape for name, array in arrays.items()})
        assign_stored_arrays(variables, arrays)


def _shapes_in_keras_weights(path: str | PathLike) -> Shapes:
    """Returns the names and shapes of the arrays in a `.weights.h5` file."""
    with _open_keras_weights(path) as file:
        return {name: array.shape for name, array in stored_arrays(file, Path(path).stat().st_size).items()}


@contextlib.contextmanager
def _open_keras_weights(path: str | PathLike) -> Iterator[h5py.File]:
    check_is_file(path)
    with reading(path, f"a {WEIGHTS_ENDING} file"), h5py.File(path) as file:
        yield file


_STATE_DICT_KEYS = {
    "kernel": (FIRST_KERNEL_KEY,),
    "positions": (POSITION_KEY,),
    "class_token": (CLASS_TOKEN_KEY,),
    "head": (HEAD_KEYS[1],),
}
_KERAS_KEYS = {
    "kernel": ("layers/conv_tokenizer/convolutions/conv2d/vars/0", "layers/patch_tokenizer/projection/vars/0"),
    "positions": ("layers/position_embedding/vars/0",),
    "class_token": ("layers/class_token/vars/0",),
    "head": ("layers/classifier_head/vars/1",),
}


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """Facts about a model that can be inferred from the shapes of its weights.

    Args:
        channels: Number of input channels.
        num_classes: Number of logits, or None if the model has no head.
        num_tokens: Number of tokens, the class token not counted, or None if the model has no position embedding.
    """

    channels: int
    num_classes: int | None
    num_tokens: int | None


def inspect_weights(path: str | PathLike) -> WeightsInfo:
    """Returns what the shapes in a state dict or `.weights.h5` file say about the model.

    Raises:
        InputError: The file cannot be read, or contains the weights of another architecture.
    """
    if str(path).endswith(WEIGHTS_ENDING):
        keys, channel_axis = _KERAS_KEYS, 2  # (height, width, channels, filters)
        shapes = _shapes_in_keras_weights(path)
    else:
        keys, channel_axis = _STATE_DICT_KEYS, 1  # (filters, channels, height, width)
        shapes = {key: array.shape for key, array in read_state_dict(path).items()}
    found = {part: shapes[key] for part, candidates in keys.items() for key in candidates if key in shapes}
    for part, num_axes in (("kernel", 4), ("positions", 3), ("head", 1)):
        shape = found.get(part)
        if len(shape or ()) != num_axes and (shape is not None or part == "kernel"):
            raise InputError(
                f"{keys[part][0]} in {str(path)!r} has shape {shape}, expected {num_axes} axes. "
                f"Pass weights of a model made by keras_cct or the reference implementation."
            )
    return WeightsInfo(
        channels=found["kernel"][channel_axis],
        num_classes=found["head"][0] if "head" in found else None,
        num_tokens=found["positions"][1] - ("class_token" in found) if "positions" in found else None,
    )
