"""Reads and writes weights in files: `.keras` models, and state dicts in `.safetensors` and PyTorch files."""

import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_cct.errors import InputError
from keras_cct.weights.torch_file import read_torch_file, write_torch_file

MODEL_ENDING = ".keras"
SAFETENSORS_ENDING = ".safetensors"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")

_FLOAT_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def read_safetensors_file(path: str | PathLike) -> dict[str, np.ndarray]:
    """Returns the state dict in a `.safetensors` file.

    Args:
        path: The file.

    Returns:
        Names to floating-point arrays. bfloat16, which NumPy lacks, becomes float32, which is exact.

    Raises:
        InputError: The file is missing or corrupted, or contains a dtype that is not floating-point.
    """
    if not Path(path).is_file():
        raise InputError(f"weights file {str(path)!r} does not exist. Check the path.")
    try:
        tensors = safetensors.deserialize(Path(path).read_bytes())
    except safetensors.SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{str(path)!r} is not a .safetensors file, or it is corrupted: {reason}.") from error
    return {key: _to_floats(key, tensor).reshape(tensor["shape"]) for key, tensor in tensors}


def write_safetensors_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict to a `.safetensors` file, marked as PyTorch's so that PyTorch libraries accept it."""
    Path(path).write_bytes(safetensors.numpy.save(dict(arrays), metadata={"format": "pt"}))


def _to_floats(key: str, tensor: dict[str, Any]) -> np.ndarray:
    dtype, data = tensor["dtype"], tensor["data"]
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("uint32") << 16).view("float32")
    if dtype not in _FLOAT_DTYPES:
        raise InputError(f"{key} has dtype {dtype}. Expected floating-point weights; nothing was loaded.")
    return np.frombuffer(data, _FLOAT_DTYPES[dtype])


def read_keras_file(path: str | PathLike) -> keras.Model:
    """Returns the model in a `.keras` file, without its optimizer.

    Raises:
        InputError: The file is missing or corrupted.
    """
    if not Path(path).is_file():
        problem = "is a folder" if Path(path).is_dir() else "does not exist"
        raise InputError(f"{str(path)!r} {problem}. Expected a .keras file.")
    if not str(path).endswith(MODEL_ENDING) or not zipfile.is_zipfile(path):
        raise InputError(f"{str(path)!r} is not a .keras file, or it is corrupted. Pass a file saved by `model.save`.")
    try:
        return keras.models.load_model(path, compile=False)  # pyright: ignore[reportReturnType] # typed for old formats
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{str(path)!r} cannot be loaded as a Keras model: {reason}") from error


_NESTING_KEYS = ("state_dict", "model", "state_dict_ema")
_PARALLEL_PREFIX = "module."


def read_state_dict(path: str | PathLike) -> dict[str, np.ndarray]:
    """Returns the state dict in a `.safetensors`, `.pth`, `.pt` or `.pth.tar` file.

    Training scripts nest the state dict under the key `state_dict` or `model`, and `DataParallel` prefixes its keys
    with `module.`; both are undone. As in the reference implementation, the moving average under `state_dict_ema` is
    used only if the file contains no other weights.

    Returns:
        Names to arrays. Half precision becomes float32.

    Raises:
        InputError: The file is missing, corrupted or without a state dict, or requires PyTorch, which is not installed.
    """
    if str(path).endswith(SAFETENSORS_ENDING):
        return _to_state_dict(read_safetensors_file(path), path)
    content = read_torch_file(path)
    for key in _NESTING_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _to_state_dict(content[key], path)
    return _to_state_dict(content, path)


def write_state_dict(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict to a `.safetensors`, `.pth`, `.pt` or `.pth.tar` file.

    Raises:
        InputError: The format requires PyTorch, which is not installed.
    """
    if str(path).endswith(SAFETENSORS_ENDING):
        write_safetensors_file(arrays, path)
    else:
        write_torch_file(arrays, path)


def to_array(value: Any) -> np.ndarray:
    """Returns an array or a PyTorch tensor as an array, in float32 if it is in half precision.

    Raises:
        InputError: The value is neither.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.itemsize < 4 else value
        return value.numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"the weights contain a value that is not an array: {error}. Nothing was loaded.") from error
    return array.astype("float32") if array.dtype == "float16" else array


def _to_state_dict(content: object, path: str | PathLike) -> dict[str, np.ndarray]:
    if (
        not isinstance(content, Mapping)
        or not all(isinstance(key, str) for key in content)
        or not all(hasattr(value, "shape") for value in content.values())
    ):
        raise InputError(f"{str(path)!r} contains no state dict. Save one with `torch.save(model.state_dict(), path)`.")
    return {key.removeprefix(_PARALLEL_PREFIX): to_array(value) for key, value in content.items()}
