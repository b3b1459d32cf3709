"""Keras and TensorFlow, imported in silence."""

import contextlib
import os
import sys
from collections.abc import Iterator

from keras_cct.errors import InputError


def load_frameworks() -> None:
    """Imports Keras and TensorFlow without their start-up notes, which no log level of TensorFlow 2.21 turns off.

    Raises:
        InputError: The backend that KERAS_BACKEND names cannot be loaded.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.get("KERAS_BACKEND", "")
    with silent_stderr():
        try:
            import keras  # noqa: F401
        except (ImportError, ValueError) as error:
            raise InputError(
                f"KERAS_BACKEND={backend!r} cannot be loaded: {error}. Install it, or choose tensorflow, jax or torch."
            ) from error
        import tensorflow

        tensorflow.config.list_physical_devices()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what the process, C++ libraries included, writes to standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
