"""Atomic writes of files and folders."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path` and renames it to `path` if the block ends without an error.

    Args:
        path: The file to write, or the folder to create; a folder must not exist yet.

    Yields:
        A path with the same suffix, at which the block creates the file or folder.
    """
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename is not None and str(error.filename) == str(temporary):
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)


def remove_partial(folder: Path) -> None:
    """Removes the temporary files and folders that killed processes left in a folder, which need not exist."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
