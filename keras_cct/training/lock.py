"""The lock on a run folder, which a killed process loses."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from keras_cct.errors import InputError

LOCK = ".lock"
MAX_OWNER_CHARACTERS = 100


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a run folder for this process. The kernel releases the lock when the process ends, however it ends.

    Args:
        folder: An existing folder. The file `.lock` in it names the process.

    Raises:
        InputError: Another process holds the lock, or the folder is not writable.
    """
    path = folder / LOCK
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except filelock.Timeout as error:
        raise InputError(
            f"the run in {str(folder)!r} is in use by {_owner(path)}. Wait until that process has ended, or stop it."
        ) from error
    except OSError as error:
        lock.release()
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}. Make the folder writable.") from error
    try:
        yield
    finally:
        lock.release()


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:MAX_OWNER_CHARACTERS] or "another process"
    except OSError:
        return "another process"
