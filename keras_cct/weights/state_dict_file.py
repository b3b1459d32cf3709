"""State dicts in files: PyTorch's own and `.safetensors`, read into arrays and written from them."""

from collections.abc import Mapping
from os import PathLike

import numpy as np

from keras_cct.errors import InputError
from keras_cct.weights.safetensors_file import read_safetensors_file, write_safetensors_file
from keras_cct.weights.torch_file import read_torch_file, write_torch_file

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
