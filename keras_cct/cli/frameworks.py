"""Imports Keras and TensorFlow without their start-up messages."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_cct.errors import InputError


def load_frameworks() -> None:
    """Imports Keras and TensorFlow without their start-up messages, which no log level of TensorFlow 2.21 disables.

    Raises:
        InputError: The backend in KERAS_BACKEND cannot be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.get("KERAS_BACKEND", "")
    with silent_stderr():
        try:
            import keras  # noqa: F401
        except (ImportError, ValueError) as error:
            raise InputError(
                f"cannot import the backend KERAS_BACKEND={backend!r}: {error}. "
                f"Install it, or choose tensorflow, jax or torch."
            ) from error
        import tensorflow

        tensorflow.config.list_physical_devices()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discards what the process, including C++ libraries, writes to standard error."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
