"""Reads and writes PyTorch files. Only weights are read: a file that would run code is rejected."""

import argparse
import io
import mmap
import reprlib
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType

import numpy as np

from keras_cct.archives import open_archive
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

_CHECKPOINT_ENDING = ".pth.tar"
_ADVICE = "Save it again with `torch.save(model.state_dict(), path)`."

MAX_EXPANSION = 4
"""Largest total size of the tensors relative to that of the file, because tensors may overlap."""


def import_torch() -> ModuleType:
    """Returns the module `torch`.

    Raises:
        InputError: PyTorch is not installed.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports] - optional
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
    path = check_is_file(path)
    torch = import_torch()
    with reading(path, "a weights-only PyTorch file", _ADVICE), path.open("rb") as file:
        if zipfile.is_zipfile(file):
            with open_archive(file) as archive:  # Its sizes are checked before PyTorch decompresses it.
                for name in archive.namelist():
                    if name.endswith("/data.pkl"):
                        _check_pickle(archive.read(name))
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                _check_pickle(content)
        file.seek(0)
        # The reference implementation's training script stores its arguments in its checkpoints.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)


def _check_pickle(content: bytes | mmap.mmap) -> None:
    """Raises InputError for a pickle that creates a bytearray: PyTorch allows it any size."""
    if any(content.find(prefix + b"bytearray\n") >= 0 for prefix in (b"c__builtin__\n", b"cbuiltins\n")):
        raise InputError(f"it creates a bytearray, which weights do not need. {_ADVICE}")


def check_tensor_sizes(content: object, file_bytes: int) -> None:
    """Checks that the tensors of a state dict are dense and not larger than the file can hold.

    A tensor with a stride of 0 can have any size, and tensors can share their memory.

    Args:
        content: What `read_torch_file` returned.
        file_bytes: Size of the file.

    Raises:
        InputError: A tensor is larger than its memory or sparse, or all tensors are much larger than the file.
    """
    total = 0
    for key, tensor in content.items() if isinstance(content, Mapping) else ():
        if not hasattr(tensor, "untyped_storage"):
            continue
        size = tensor.numel() * tensor.itemsize
        total += size
        if str(tensor.layout) != "torch.strided" or tensor.device.type != "cpu":
            raise InputError(f"tensor {reprlib.repr(key)} is sparse or has no values. {_ADVICE}")
        if size > tensor.untyped_storage().nbytes():
            raise InputError(
                f"tensor {reprlib.repr(key)} has {size:,} bytes, which the file does not contain. {_ADVICE}"
            )
        if total > MAX_EXPANSION * file_bytes:
            raise InputError(f"the tensors have {total:,} bytes or more, but the file has {file_bytes:,}. {_ADVICE}")


def write_torch_file(arrays: Mapping[str, np.ndarray], path: str | PathLike) -> None:
    """Writes a state dict. In a `.pth.tar` file it is nested under `state_dict`, as timm's training script does.

    Raises:
        InputError: PyTorch is not installed.
    """
    torch = import_torch()
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    # Written to memory first, so that a full disk is an OSError.
    buffer = io.BytesIO()
    torch.save({"state_dict": tensors} if str(path).endswith(_CHECKPOINT_ENDING) else tensors, buffer)
    Path(path).write_bytes(buffer.getbuffer())
