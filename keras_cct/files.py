"""Reading files that may be corrupted, and atomic writes of files and folders."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError

PARTIAL = ".partial-"


def check_is_file(path: str | PathLike, advice: str = "Check the path.") -> Path:
    """Returns the path of a regular file, so that reading it neither hangs (a pipe) nor never ends (a device).

    Args:
        path: The file. Symbolic links are followed.
        advice: What to do if there is no such file, a sentence.

    Raises:
        InputError: There is no such file, or it is a folder, pipe, socket or device.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 # `Path.stat` would name the path in another way
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)!r} does not exist. {advice}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {os.fspath(path)!r}: {_reason(error)}. {advice}") from error
    if not stat.S_ISREG(mode):
        problem = "is a folder" if stat.S_ISDIR(mode) else "is not a regular file"
        raise InputError(f"{os.fspath(path)!r} {problem}. {advice}")
    return Path(path)


@contextlib.contextmanager
def reading(path: str | PathLike, expected: str, advice: str = "Check the file.") -> Iterator[None]:
    """Converts every error of the block, which parses a file, to one InputError that names the file.

    This is the only place that catches every exception: parsers of corrupted files raise almost any of them.

    Args:
        path: The file.
        expected: What the file should be, such as "a .safetensors file".
        advice: What to do about a file that cannot be parsed, a sentence.

    Raises:
        InputError: The block raised an exception.
    """
    name = os.fspath(path)
    try:
        yield
    except InputError as error:
        if repr(name) in str(error):
            raise
        raise InputError(f"{name!r}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot read {name!r}: {error.strerror}. {advice}") from error
        raise InputError(f"{name!r} is not {expected}, or it is corrupted: {_reason(error)}. {advice}") from error


def _reason(error: Exception) -> str:
    """Returns the first line of a message without its full stop, or the name of the error if it has none."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    reason = lines[0].strip() if lines else type(error).__name__
    return (reason if len(reason) <= 200 else f"{reason[:200]} ...").rstrip(".")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path` and renames it to `path` if the block ends without an error.

    Args:
        path: The file to write, or the folder to create; a folder must not exist yet.

    Yields:
        A path with the same suffix, at which the block creates the file or folder.

    Raises:
        OSError: The file or folder cannot be written, because the disk is full for example. The error names `path`.
    """
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
        if temporary.is_file():
            _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        # An error of an open file, such as a full disk, has no file name.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)


def _flush(path: Path) -> None:
    """Waits until a file is on the disk: after a power failure, a file that was only renamed can be empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial(folder: Path) -> None:
    """Removes the temporary files and folders that killed processes left in a folder, which need not exist."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):  # on a read-only disk, `unlink` fails even for a missing file
        path.unlink(missing_ok=True)
