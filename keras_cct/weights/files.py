"""What a file of weights tells about the model it is for, without loading it."""

import dataclasses
import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.weights.adapt import CLASS_TOKEN_KEY, FIRST_KERNEL_KEY, HEAD_KEYS, POSITION_KEY, adapt_state_dict
from keras_cct.weights.formats import (
    SAFETENSORS_ENDING,
    TORCH_ENDINGS,
    read_keras_file,
    read_state_dict,
    to_array,
    write_state_dict,
)
from keras_cct.weights.mapping import Shapes, assign_state_dict, check_shapes, export_torch_weights
from keras_cct.weights.torch_file import import_torch

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
    """Copies the weights in a file into a model, fitted to its images and classes as `adapt_state_dict` says.

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
        assign_state_dict(model, adapt_state_dict(arrays, model, grid))
    elif str(path).endswith(WEIGHTS_ENDING):
        _load_keras_weights(model, path)
    else:
        load_torch_weights(model, path, fit=True)


def load_torch_weights(
    model: keras.Model, source: Mapping[str, np.ndarray] | str | PathLike, *, fit: bool = False
) -> None:
    """Copies the weights of the original PyTorch model into a Keras model of the same architecture.

    Args:
        model: A model made by this package. Its weights change only if every key of the source fits.
        source: State dict of names to arrays (or PyTorch tensors), or the path of a file that holds one, as
            `read_state_dict` says.
        fit: Whether to change the weights for images of another size or number of channels and for other classes,
            as `adapt_state_dict` says; the source must come from square images then.

    Raises:
        InputError: The file cannot be read, or a key is missing, extra or misshapen; the message lists them all.
    """
    if not isinstance(source, Mapping | str | PathLike):
        raise InputError(f"a {type(source).__name__} holds no weights. Give a mapping of names to arrays, or a path.")
    if isinstance(source, Mapping):
        arrays = {key: to_array(value) for key, value in source.items()}
    else:
        arrays = read_state_dict(source)
    assign_state_dict(model, adapt_state_dict(arrays, model) if fit else arrays)


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
    """Facts about the model that weights come from.

    Args:
        channels: Channels of its images.
        num_classes: Number of its logits, or None if it has no head.
        num_tokens: Tokens that its tokenizer makes, or None if it has no position embedding.
    """

    channels: int
    num_classes: int | None
    num_tokens: int | None


def inspect_weights(path: str | PathLike) -> WeightsInfo:
    """Returns what a state dict or a `.weights.h5` file tells about its model.

    Raises:
        InputError: The file cannot be read, or holds weights of something else.
    """
    if str(path).endswith(WEIGHTS_ENDING):
        keys, channel_axis, found = _KERAS_KEYS, 2, shapes_in_keras_weights(path)  # (height, width, channels, filters)
    else:
        keys, channel_axis = _STATE_DICT_KEYS, 1  # (filters, channels, height, width)
        found = {key: array.shape for key, array in read_state_dict(path).items()}
    shapes = {part: next((found[key] for key in names if key in found), None) for part, names in keys.items()}
    for part, num_axes in (("kernel", 4), ("positions", 3), ("head", 1)):
        shape = shapes[part]
        if (shape is None and part == "kernel") or (shape is not None and len(shape) != num_axes):
            raise InputError(
                f"{keys[part][0]} in {str(path)!r} has shape {shape} instead of {num_axes} axes. "
                f"Give weights of a model made by keras_cct or its original."
            )
    return WeightsInfo(
        channels=shapes["kernel"][channel_axis],
        num_classes=shapes["head"] and shapes["head"][0],
        num_tokens=shapes["positions"] and shapes["positions"][1] - (shapes["class_token"] is not None),
    )
