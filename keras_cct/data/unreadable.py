"""Unreadable images: each is replaced by the next readable one, with a warning, until there are too many."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf

from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MAX_CONSECUTIVE = 50
"""Largest number of consecutive images that are tried before the run fails, as in timm."""

TOLERATED_COUNT, TOLERATED_FRACTION = 10, 0.01
"""How many images of a dataset may be unreadable: this number or this fraction, whichever is larger."""

RECORD_ERRORS = (tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.PermissionDeniedError)
"""What TensorFlow raises for files of records that are missing, damaged or not readable."""


class UnreadableImages:
    """Collects the unreadable images of a dataset and limits their number.

    Each image is logged once, as a warning. It is an error if more than ten images and more than 1 % of the dataset are
    unreadable, or fifty consecutive images.

    Args:
        count: Number of images in the dataset.
        name_of: Function from the index of an image to its name, e.g. its path.
        has_replacements: Whether another image can replace an unreadable one. If not, the first one is an error.
    """

    def __init__(self, count: int, name_of: Callable[[int], str], has_replacements: bool = True) -> None:
        self._count = count
        self._name_of = name_of
        self._noted: set[int] = set()
        self._lock = threading.Lock()
        self._most = max(TOLERATED_COUNT, int(TOLERATED_FRACTION * count)) if has_replacements else 0
        self.max_attempts = min(MAX_CONSECUTIVE, count) if has_replacements else 1
        self.failure: str | None = None

    def note(self, index: int, num_failed: int) -> None:
        """Records that `num_failed` consecutive images, starting at `index`, cannot be read.

        Raises:
            InputError: There are too many unreadable images.
        """
        with self._lock:
            for position in range(index, index + num_failed):
                self._note_one(position % self._count)
            if num_failed == self.max_attempts:
                last = self._name_of((index + num_failed - 1) % self._count)
                self._fail(f"{num_failed} consecutive images cannot be read, the last one is {last!r}.")

    def _note_one(self, index: int) -> None:
        if index in self._noted:
            return
        self._noted.add(index)
        name, num_noted = self._name_of(index), len(self._noted)
        if num_noted > self._most:
            self._fail(f"{num_noted} of {self._count} images cannot be read, the last one is {name!r}.")
        log.warning(
            "%r cannot be read and is replaced by the next image (%d of at most %d)", name, num_noted, self._most
        )

    def _fail(self, problem: str) -> None:
        self.failure = self.failure or f"{problem} Repair or remove these files."
        raise InputError(self.failure)


def first_readable(read: Callable[[tf.Tensor], tuple], blank: tuple, attempts: int) -> tuple:
    """Calls `read` until it does not fail, inside the TensorFlow graph.

    Args:
        read: Function of the index of the attempt, a scalar int64 tensor. Returns a tuple of tensors, or fails.
        blank: Tensors of the same types, which are returned if all attempts fail.
        attempts: Largest number of attempts.

    Returns:
        The tensors from `read`, then the number of failed attempts, a scalar int64 tensor.
    """
    results = tf.data.Dataset.range(attempts).map(lambda attempt: (*read(attempt), attempt)).ignore_errors()
    fallback = tf.data.Dataset.from_tensors((*blank, tf.constant(attempts, tf.int64)))
    return results.concatenate(fallback).take(1).get_single_element()


@contextlib.contextmanager
def raising_input_errors(*splits: object) -> Iterator[None]:
    """Replaces TensorFlow's error with a one-line InputError if too many images of a split cannot be read.

    Args:
        *splits: The splits that the block reads. `LabeledImages` are allowed and never fail.

    Raises:
        InputError: Too many images, or the files of a stream of records, cannot be read.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for split in splits:
            unreadable = getattr(split, "unreadable", None)
            if isinstance(unreadable, UnreadableImages) and unreadable.failure:
                raise InputError(unreadable.failure) from error
            if hasattr(split, "records") and isinstance(error, RECORD_ERRORS):
                reason = next(iter(error.message.strip().splitlines()), type(error).__name__).rstrip(".")
                raise InputError(f"cannot read the records of the dataset: {reason}. Restore their files.") from error
        raise
