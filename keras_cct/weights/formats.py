"""Reads and writes weights in files: `.keras` models, and state dicts in `.safetensors` and PyTorch files."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading
from keras_cct.weights.keras_file import MODEL_ENDING, read_keras_file
from keras_cct.weights.torch_file import check_tensor_sizes, read_torch_file, write_torch_file

__all__ = ["MODEL_ENDING", "read_keras_file"]

SAFETENSORS_ENDING = ".safetensors"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")

MAX_HEADER_BYTES = 2**21
"""Largest header of a .safetensors file, which has some 100 bytes for each tensor."""

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
    file = check_is_file(path)
    with reading(path, "a .safetensors file"):
        with file.open("rb") as content:
            header_bytes = int.from_bytes(content.read(8), "little")
        if MAX_HEADER_BYTES < header_bytes < file.stat().st_size:
            raise InputError(
                f"its header has {header_bytes:,} bytes, more than {MAX_HEADER_BYTES:,}. Use another file."
            )
        # Opening maps the file and checks that its header describes exactly the bytes behind it.
        with safetensors.safe_open(file, "numpy"):
            pass
        tensors = safetensors.deserialize(file.read_bytes())
        return {key: _to_floats(key, tensor).reshape(tensor["shape"]) for key, tensor in tensors}


def write_safetensors_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict to a `.safetensors` file, marked as PyTorch's so that PyTorch libraries accept it."""
    Path(path).write_bytes(safetensors.numpy.save(dict(arrays), metadata={"format": "pt"}))


def _to_floats(key: str, tensor: dict[str, Any]) -> np.ndarray:
    dtype, data = tensor["dtype"], tensor["data"]
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype("uint32") << 16).view("float32")
    if dtype not in _FLOAT_DTYPES:
        raise InputError(f"{key} has dtype {dtype}. Nothing was loaded; use a file of floating-point weights.")
    return np.frombuffer(data, _FLOAT_DTYPES[dtype])


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
    with reading(path, "a PyTorch file"):
        for key in _NESTING_KEYS:
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
                break
        check_tensor_sizes(content, Path(path).stat().st_size)
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
        raise InputError(
            f"the weights contain a value that is not an array: {error}. Nothing was loaded; pass arrays only."
        ) from error
    return array.astype("float32") if array.dtype == "float16" else array


def _to_state_dict(content: object, path: str | PathLike) -> dict[str, np.ndarray]:
    if (
        not isinstance(content, Mapping)
        or not all(isinstance(key, str) for key in content)
        or not all(hasattr(value, "shape") for value in content.values())
    ):
        raise InputError(f"{str(path)!r} contains no state dict. Save one with `torch.save(model.state_dict(), path)`.")
    return {key.removeprefix(_PARALLEL_PREFIX): to_array(value) for key, value in content.items()}
