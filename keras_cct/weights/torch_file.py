"""Reads PyTorch's own files, weights only: a file that wants to run code is refused."""

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError

_NESTING_KEYS = ("state_dict", "model")
_PARALLEL_PREFIX = "module."


def read_torch_file(path: str | PathLike) -> Mapping[str, object]:
    """Returns the state dict in a `.pth`, `.pt` or `.pth.tar` file.

    Training scripts wrap it in a dictionary under `state_dict` or `model`, and data-parallel ones prefix its keys with
    `module.`; both are undone.

    Args:
        path: The file.

    Returns:
        Names to PyTorch tensors on the CPU.

    Raises:
        InputError: PyTorch is not installed, or the file is missing or holds no state dict.
    """
    if not Path(path).is_file():
        raise InputError(f"no file at {str(path)!r}. Give the path of a PyTorch state dict.")
    try:
        import torch
    except ImportError as error:
        raise InputError("reading a PyTorch file needs PyTorch. Install it with: pip install torch") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{str(path)!r} is not a PyTorch file of weights only: {reason}") from error
    for key in _NESTING_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(torch.is_tensor(value) for value in content.values()):
        raise InputError(f"{str(path)!r} holds no state dict. Save one with: torch.save(model.state_dict(), path)")
    return {key.removeprefix(_PARALLEL_PREFIX): value for key, value in content.items()}
