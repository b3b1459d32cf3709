"""Imports OpenVINO and NNCF without their telemetry."""

import contextlib
import sys
from collections.abc import Iterator

_PACKAGE = "openvino_telemetry"


@contextlib.contextmanager
def without_telemetry() -> Iterator[None]:
    """Hides the package `openvino_telemetry` while the block imports OpenVINO or NNCF.

    Both use it, if it is installed, to report their imports and calls to Google Analytics, in threads that they start;
    both work without it. What another program has imported before is left unchanged.
    """
    is_imported, module = _PACKAGE in sys.modules, sys.modules.get(_PACKAGE)
    sys.modules[_PACKAGE] = None  # pyright: ignore[reportArgumentType] # importing it raises ImportError
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]
        if is_imported:
            sys.modules[_PACKAGE] = module  # pyright: ignore[reportArgumentType] # as it was
