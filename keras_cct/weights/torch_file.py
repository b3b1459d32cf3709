"""Reads and writes PyTorch's own files, weights only: a file that wants to run code is refused."""

import argparse
import pickle
import struct
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType

import numpy as np

from keras_cct.errors import InputError

_CHECKPOINT_ENDING = ".pth.tar"

# What PyTorch raises for files with flipped or missing bytes; found by flipping and dropping them.
_BROKEN_FILE_ERRORS = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def import_torch() -> ModuleType:
    """Returns the module `torch`.

    Raises:
        InputError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            "a PyTorch file needs PyTorch. Install it with: pip install torch; or give a .safetensors file."
        ) from error
    return torch


def read_torch_file(path: str | PathLike) -> object:
    """Returns the content of a `.pth`, `.pt` or `.pth.tar` file, with tensors on the CPU.

    Raises:
        InputError: PyTorch is not installed, or the file is missing, broken or wants to run code.
    """
    if not Path(path).is_file():
        raise InputError(f"no file at {str(path)!r}. Give the path of a PyTorch state dict.")
    torch = import_torch()
    try:
        # The original's training script keeps its arguments in its checkpoints.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN_FILE_ERRORS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{str(path)!r} is not a PyTorch file of weights only: {reason}") from error


def write_torch_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict; in a `.pth.tar` file, as the original's training script does, under `state_dict`.

    Raises:
        InputError: PyTorch is not installed.
    """
    torch = import_torch()
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    torch.save({"state_dict": tensors} if str(path).endswith(_CHECKPOINT_ENDING) else tensors, path)
