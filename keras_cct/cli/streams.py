"""Standard streams that survive closed pipes and escape unprintable file names; progress bars."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO


class LogHandler(logging.StreamHandler):
    """Writes the log to standard output, and discards it once that fails.

    A run of many hours must not end because the reader of its log has ended (`| head`) or the disk of its log is full.
    """

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            _discard(self.stream)
        else:
            super().handleError(record)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Makes both streams escape what they cannot encode, and flushes them at the end, whether or not they are open.

    File names on Linux are bytes. Those that are not valid UTF-8 are printed with escapes, as on standard error.
    """
    sys.stdout, sys.stderr = sys.stdout or _null_stream(), sys.stderr or _null_stream()
    streams = sys.stdout, sys.stderr
    for stream in streams:
        _reconfigure(stream, errors="backslashreplace")
    try:
        yield
    finally:
        for stream in streams:
            try:
                stream.flush()
            except OSError:
                _discard(stream)


def report(message: str) -> None:
    """Prints a line to standard error, if it is open."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def image_progress(num_images: int, description: str) -> Iterator[Callable[[int], object]]:
    """Shows a progress bar on standard error if it is a terminal.

    Args:
        num_images: Number of images.
        description: What is done with them, one word.

    Yields:
        A function to call with the number of images of each batch.
    """
    from tqdm import tqdm

    with tqdm(total=num_images, desc=description, unit=" images", disable=None, leave=False) as bar:
        yield bar.update


def _null_stream() -> TextIO:
    """Returns a stream for a process that starts without standard output or standard error, where Python has None."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _reconfigure(stream: Any, **settings: str) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(**settings)


def _discard(stream: TextIO) -> None:
    """Redirects a stream to the null device, so that neither later output nor the flush at exit fails."""
    with contextlib.suppress(OSError):  # a stream that is not a file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
