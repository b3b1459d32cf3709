"""State dicts in files: PyTorch's own and `.safetensors`, read into arrays and written from them."""

import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_cct.errors import InputError
from keras_cct.weights.torch_file import read_torch_file, write_torch_file

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


def read_keras_file(path: str | PathLike) -> keras.Model:
    """Returns the model in a `.keras` file, without its optimizer.

    Raises:
        InputError: The file is missing or broken.
    """
    if not Path(path).is_file():
        kind = "is a folder" if Path(path).is_dir() else "does not exist"
        raise InputError(f"{str(path)!r} {kind}. Give a .keras file.")
    if not str(path).endswith(".keras") or not zipfile.is_zipfile(path):
        raise InputError(f"{str(path)!r} is not a .keras file, or a broken one. Give one that `model.save` wrote.")
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{str(path)!r} cannot be loaded as a Keras model: {reason}") from error


SAFETENSORS_ENDING = ".safetensors"
TORCH_ENDINGS = (".pth", ".pt", ".pth.tar")

_NESTING_KEYS = ("state_dict", "model", "state_dict_ema")
_PARALLEL_PREFIX = "module."


def read_state_dict(path: str | PathLike) -> dict[str, np.ndarray]:
    """Returns the state dict in a `.safetensors`, `.pth`, `.pt` or `.pth.tar` file.

    Training scripts wrap it in a dictionary under `state_dict` or `model`, and data-parallel ones prefix its keys with
    `module.`; both are undone. The averaged weights that a script keeps beside the others under `state_dict_ema` are
    taken only where there are no others, as the original does.

    Returns:
        Names to arrays; half precision becomes float32.

    Raises:
        InputError: The file is missing or broken or holds no state dict, or PyTorch is needed and not installed.
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
        InputError: PyTorch is needed and not installed.
    """
    if str(path).endswith(SAFETENSORS_ENDING):
        write_safetensors_file(arrays, path)
    else:
        write_torch_file(arrays, path)


def to_array(value: object) -> np.ndarray:
    """Returns an array or a PyTorch tensor as an array, in float32 if it is in half precision.

    Raises:
        InputError: It is neither.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.itemsize < 4 else value
        return value.numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"the weights hold something that is no array: {error}. Nothing was loaded.") from error
    return array.astype("float32") if array.dtype == "float16" else array


def _to_state_dict(content: object, path: str | PathLike) -> dict[str, np.ndarray]:
    is_named = isinstance(content, Mapping) and all(isinstance(key, str) for key in content)
    if not is_named or not all(hasattr(value, "shape") for value in content.values()):
        raise InputError(f"{str(path)!r} holds no state dict. Save one with: torch.save(model.state_dict(), path)")
    return {key.removeprefix(_PARALLEL_PREFIX): to_array(value) for key, value in content.items()}
