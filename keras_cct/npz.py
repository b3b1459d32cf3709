"""Reads `.npz` files of NumPy arrays that may be corrupted or hostile."""

import math
import zipfile
from collections.abc import Mapping
from os import PathLike
from typing import IO

import numpy as np
from numpy.lib import format as npy

from keras_cct.archives import open_archive
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

MAX_ARRAYS = 20_000
_SUFFIX = ".npy"
_ADVICE = "Save it again with `np.savez`."


def read_npz(
    path: str | PathLike, advice: str = _ADVICE, expected: str = "an .npz file of plain arrays"
) -> Mapping[str, np.ndarray]:
    """Returns the arrays of an `.npz` file by name.

    Pickled objects and headers whose size differs from that of the data are refused before memory is allocated.

    Args:
        path: The file.
        advice: What to do about a file that cannot be read, a sentence.
        expected: What the file should be, for the message.

    Raises:
        InputError: The file is missing or corrupted, contains pickled objects, or expands to far more than its size.
    """
    file = check_is_file(path)
    with (
        reading(path, expected, advice),
        file.open("rb") as content,
        open_archive(content, MAX_ARRAYS) as archive,
    ):
        members = archive.infolist()
        for member in members:
            with archive.open(member) as stream:
                _check_header(member, stream)
        return {member.filename.removesuffix(_SUFFIX): _read_array(archive, member) for member in members}


def _check_header(member: zipfile.ZipInfo, stream: IO[bytes]) -> None:
    """Raises InputError unless the header of an array describes exactly the bytes behind it."""
    if not member.filename.endswith(_SUFFIX):
        raise InputError(f"the archive has a member {member.filename!r} that is not an array. {_ADVICE}")
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject or dtype.itemsize == 0:
        raise InputError(f"array {member.filename!r} contains pickled objects or has no values. {_ADVICE}")
    expected = math.prod(shape) * dtype.itemsize
    found = member.file_size - stream.tell()
    if min(shape, default=0) < 0 or expected != found:
        raise InputError(f"array {member.filename!r} claims {expected:,} bytes and has {found:,}. {_ADVICE}")


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False)
