"""Reads and writes PyTorch files. Only weights are read: a file that would run code is rejected."""

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

# Exceptions that PyTorch raises for corrupted files, found by flipping and removing bytes.
_CORRUPTED_FILE_ERRORS = (
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
            "PyTorch files require PyTorch. Install it with `pip install torch`, or use a .safetensors file."
        ) from error
    return torch


def read_torch_file(path: str | PathLike) -> object:
    """Returns the content of a `.pth`, `.pt` or `.pth.tar` file, with tensors on the CPU.

    Raises:
        InputError: PyTorch is not installed, or the file is missing, corrupted or would run code.
    """
    if not Path(path).is_file():
        raise InputError(f"weights file {str(path)!r} does not exist. Check the path.")
    torch = import_torch()
    try:
        # The reference implementation's training script stores its arguments in its checkpoints.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _CORRUPTED_FILE_ERRORS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{str(path)!r} is not a weights-only PyTorch file, or it is corrupted: {reason}") from error


def write_torch_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict. In a `.pth.tar` file it is nested under `state_dict`, as timm's training script does.

    Raises:
        InputError: PyTorch is not installed.
    """
    torch = import_torch()
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    torch.save({"state_dict": tensors} if str(path).endswith(_CHECKPOINT_ENDING) else tensors, path)
