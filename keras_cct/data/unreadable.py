"""Images that cannot be read: the next one takes their place, with a warning, until they are too many."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf

from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MOST_IN_A_ROW = 50
"""Images tried in place of one, as in the original."""

SPARE_FILES, SPARE_SHARE = 10, 0.01
"""How many of a set may be unreadable: the larger of a number and a share."""


class UnreadableImages:
    """Notes the images of one set that cannot be read.

    Each is a warning of the log once. More than ten of them and more than 1 % of the set are an error, and so are fifty
    in a row.

    Args:
        count: Number of images in the set.
        name_of: Function that tells what to call an image, e.g. its path.
        has_others: Whether another image can take the place of one; if not, the first is an error.
    """

    def __init__(self, count: int, name_of: Callable[[int], str], has_others: bool = True):
        self._count = count
        self._name_of = name_of
        self._noted = set()
        self._lock = threading.Lock()
        self._most = max(SPARE_FILES, int(SPARE_SHARE * count)) if has_others else 0
        self.most_attempts = min(MOST_IN_A_ROW, count) if has_others else 1
        self.failure = None

    def note(self, index: int, num_failed: int) -> None:
        """Notes that `num_failed` images from `index` on, in a row, cannot be read.

        Raises:
            InputError: They are too many.
        """
        with self._lock:
            for number in range(index, index + num_failed):
                self._note_one(number % self._count)
            if num_failed == self.most_attempts:
                last = self._name_of((index + num_failed - 1) % self._count)
                self._fail(f"{num_failed} images in a row cannot be read, the last is {last!r}.")

    def _note_one(self, index: int) -> None:
        if index in self._noted:
            return
        self._noted.add(index)
        name, num_noted = self._name_of(index), len(self._noted)
        if num_noted > self._most:
            self._fail(f"{num_noted} of {self._count} images cannot be read, the last is {name!r}.")
        log.warning("%r cannot be read; the next image takes its place (%d of at most %d)", name, num_noted, self._most)

    def _fail(self, what: str) -> None:
        self.failure = self.failure or f"{what} Mend or remove such files."
        raise InputError(self.failure)


def first_readable(read: Callable[[tf.Tensor], tuple], blank: tuple, attempts: int) -> tuple:
    """Tries one thing after the other, inside a graph and without Python, until one does not fail.

    Args:
        read: Function of the number of the attempt, a scalar int64 tensor, that returns tensors or fails.
        blank: Tensors of the same types that stand in if all attempts fail.
        attempts: Number of attempts.

    Returns:
        What `read` returned, then the number of failed attempts, a scalar int64 tensor.
    """
    results = tf.data.Dataset.range(attempts).map(lambda attempt: (*read(attempt), attempt)).ignore_errors()
    stand_in = tf.data.Dataset.from_tensors((*blank, tf.constant(attempts, tf.int64)))
    return results.concatenate(stand_in).take(1).get_single_element()


@contextlib.contextmanager
def raising_input_errors(*sets: object) -> Iterator[None]:
    """Turns TensorFlow's error into an InputError of one line, where too many images of a set cannot be read.

    Args:
        *sets: The sets that the block reads; those in memory have nothing to note.

    Raises:
        InputError: Too many images cannot be read.
    """
    try:
        yield
    except tf.errors.OpError as error:
        notes = [data.unreadable for data in sets if hasattr(data, "unreadable")]
        for failure in (note.failure for note in notes if note.failure):
            raise InputError(failure) from error
        raise
