"""Reads and writes state dicts as `.safetensors` files, which hold nothing but arrays and need no PyTorch."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from keras_cct.errors import InputError

_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def read_safetensors_file(path: str | PathLike) -> dict[str, np.ndarray]:
    """Returns the state dict in a `.safetensors` file.

    Args:
        path: The file.

    Returns:
        Names to floating-point arrays; NumPy has no bfloat16, so that becomes float32, exactly.

    Raises:
        InputError: The file is missing or broken, or holds something else than floating-point numbers.
    """
    if not Path(path).is_file():
        raise InputError(f"no file at {str(path)!r}. Give the path of a .safetensors file.")
    try:
        tensors = safetensors.deserialize(Path(path).read_bytes())
    except safetensors.SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{str(path)!r} is not a .safetensors file, or a broken one: {reason}.") from error
    return {key: _to_array(key, tensor).reshape(tensor["shape"]) for key, tensor in tensors}


def write_safetensors_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict; PyTorch's readers take the file for one of theirs."""
    Path(path).write_bytes(safetensors.numpy.save(dict(arrays), metadata={"format": "pt"}))


def _to_array(key: str, tensor: dict) -> np.ndarray:
    dtype, data = tensor["dtype"], tensor["data"]
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("uint32") << 16).view("float32")
    if dtype not in _FLOATS:
        raise InputError(f"{key} holds {dtype}, not floating-point numbers. Nothing was loaded.")
    return np.frombuffer(data, _FLOATS[dtype])
