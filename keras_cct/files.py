"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` if the block ends without an error.

    Args:
        path: The file, or the folder that does not exist yet, that the block makes.

    Yields:
        A path with the same ending; the block makes a file or a folder there.
    """
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None and str(error.filename) == str(temporary):
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)


def remove_partial(folder: Path) -> None:
    """Removes from a folder, if there is one, what `replacing` left when its process was killed."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
