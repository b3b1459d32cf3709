"""Bounded reading of zip archives: `.keras`, `.npz` and PyTorch files."""

import contextlib
import os
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from keras_cct.errors import InputError

MAX_DIRECTORY_BYTES = 2**22
MAX_MEMBERS = 20_000
MAX_EXPANSION = 100
"""Largest uncompressed size of an archive relative to its size on disk. Images and weights compress far less."""
MIN_LIMIT_BYTES = 2**26
"""Archives may always expand to this size, which is harmless."""

_DEFLATED_OR_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 1
_END, _LOCATOR_64, _END_64 = b"PK\5\6", b"PK\6\7", b"PK\6\6"
_LOCATOR_64_BYTES = 20


@contextlib.contextmanager
def open_archive(file: BinaryIO, max_members: int = MAX_MEMBERS) -> Iterator[zipfile.ZipFile]:
    """Yields a zip archive whose size in memory is bounded.

    Args:
        file: The archive, seekable.
        max_members: Largest number of members.

    Raises:
        InputError: The archive has too many members, members with the same name or with a path outside of the archive,
            or members that expand to far more than the size of the archive.
        zipfile.BadZipFile: It is not a zip archive.
    """
    _check_directory(file, max_members)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = set()
        for member in members:
            name = member.filename
            if name in names:
                raise InputError(f"the archive has two members {name!r}. Save the file again.")
            names.add(name)
            if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                raise InputError(f"the archive has a member outside of it, {name!r}. Use another file.")
            if member.flag_bits & _IS_ENCRYPTED or member.compress_type not in _DEFLATED_OR_STORED:
                raise InputError(
                    f"the archive's member {name!r} is encrypted or has an unknown compression. Use another."
                )
        limit = max(MIN_LIMIT_BYTES, MAX_EXPANSION * _size(file))
        total = sum(member.file_size for member in members)
        if total > limit:
            raise InputError(
                f"the archive has {_size(file):,} bytes and expands to {total:,} bytes, more than {limit:,}. "
                f"Use another file."
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Returns the content of one member.

    Raises:
        InputError: There is no such member, or its uncompressed size exceeds `max_bytes`.
    """
    if name not in archive.namelist():
        raise InputError(f"the archive has no member {name!r}. Use another file.")
    size = archive.getinfo(name).file_size
    if size > max_bytes:
        raise InputError(
            f"the archive's member {name!r} has {size:,} bytes, more than {max_bytes:,}. Use another file."
        )
    return archive.read(name)


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _check_directory(file: BinaryIO, max_members: int) -> None:
    """Checks the number of members and the size of the directory before `zipfile` reads them.

    Only archives without a comment are accepted, so that `zipfile` finds the same end record.
    """
    size = _size(file)
    tail_bytes = struct.calcsize(zipfile.structEndArchive)  # pyright: ignore[reportAttributeAccessIssue]
    file.seek(max(0, size - tail_bytes))
    tail = file.read(tail_bytes)
    if len(tail) != tail_bytes or not tail.startswith(_END) or not tail.endswith(b"\0\0"):
        raise zipfile.BadZipFile("it has no end record, or a comment")
    num_members, directory_bytes = struct.unpack("<H", tail[10:12])[0], struct.unpack("<I", tail[12:16])[0]
    file.seek(max(0, size - tail_bytes - _LOCATOR_64_BYTES))
    if file.read(len(_LOCATOR_64)) == _LOCATOR_64:
        num_members, directory_bytes = _read_end_64(file, size - tail_bytes - _LOCATOR_64_BYTES)
    if num_members > max_members or directory_bytes > MAX_DIRECTORY_BYTES:
        raise InputError(
            f"the archive has {num_members:,} members and a directory of {directory_bytes:,} bytes, more than "
            f"{max_members:,} members or {MAX_DIRECTORY_BYTES:,} bytes. Use another file."
        )


def _read_end_64(file: BinaryIO, locator: int) -> tuple[int, int]:
    """Returns the number of members and the size of the directory of an archive above 4 GiB."""
    end = locator - 56
    file.seek(locator + 8)
    (offset,) = struct.unpack("<Q", file.read(8))
    if end < 0 or offset != end:
        raise zipfile.BadZipFile("its 64-bit end record is misplaced")
    file.seek(end)
    record = file.read(56)
    if not record.startswith(_END_64):
        raise zipfile.BadZipFile("it has no 64-bit end record")
    return struct.unpack("<Q", record[32:40])[0], struct.unpack("<Q", record[40:48])[0]
