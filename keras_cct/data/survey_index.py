"""What one pass over images finds, and an index of it, so that later processes read only changed images."""

import collections
import dataclasses
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_cct.data.file_stamps import FileStamps
from keras_cct.errors import InputError
from keras_cct.files import reading, replacing
from keras_cct.npz import read_npz

log = logging.getLogger(__name__)

KEY_BYTES = 8
NO_KEYS = np.empty(0, "uint64")
_EXPECTED = "an index of images"


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over the images has found. Rows of unreadable images are 0, except for the size of the file.

    Args:
        readable: Whether each image can be decoded, bool array of shape (images,).
        file_bytes: Size of each file in bytes, int64 array of shape (images,).
        sizes: Height and width of each upright image, int64 array of shape (images, 2).
        sums: Sum of each channel over the pixels in [0, 255], float64 array of shape (images, 3).
        squares: The same for the squares of the pixels.
        fingerprints: Hash of the pixels of each image, uint64 array of shape (images,).
    """

    readable: np.ndarray
    file_bytes: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    fingerprints: np.ndarray

    @classmethod
    def blank(cls, count: int) -> "Survey":
        """Returns a survey of `count` images whose rows are 0."""
        return cls(
            np.zeros(count, "bool"),
            np.zeros(count, "int64"),
            np.zeros((count, 2), "int64"),
            np.zeros((count, 3), "float64"),
            np.zeros((count, 3), "float64"),
            np.zeros(count, "uint64"),
        )

    def columns(self) -> dict[str, np.ndarray]:
        """Returns the arrays by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def rows(self, selected: np.ndarray) -> "Survey":
        """Returns the survey of some of the images, selected by an array of indices or of booleans."""
        return Survey(**{name: column[selected] for name, column in self.columns().items()})

    def copy_rows(self, selected: np.ndarray, other: "Survey", rows: np.ndarray) -> None:
        """Replaces the selected rows by the given rows of another survey."""
        for name, column in self.columns().items():
            column[selected] = getattr(other, name)[rows]

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns mean and standard deviation of each channel over all pixels of all images, in [0, 1]."""
        num_pixels = self.sizes.prod(axis=1, dtype="float64").sum()
        mean = self.sums.sum(axis=0) / num_pixels
        std = np.sqrt(np.maximum(self.squares.sum(axis=0) / num_pixels - mean * mean, 0))
        return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def file_keys(paths: Sequence[str], stamps: FileStamps) -> np.ndarray:
    """Returns a key of each file, a hash of its path, size and modification time, uint64 of shape (files,)."""
    keys = bytearray()
    for path, size, time in zip(paths, stamps.sizes.data, stamps.times.data, strict=True):
        content = f"{path}\0{size} {time}".encode(errors="surrogateescape")
        keys += hashlib.blake2b(content, digest_size=KEY_BYTES).digest()
    return np.frombuffer(keys, "uint64")


class SurveyIndex:
    """Surveys of files by path, size and modification time.

    A file that was modified, replaced or moved has another key and is read again, so that an index does not change
    results. Each file takes 89 bytes.

    Example:
        index = SurveyIndex.read(path)  # empty if the file does not exist
        train, evaluation = open_data(recipe, split_file, index)
        index.write(path)

    Args:
        max_surveys: Number of surveys that are kept, the last ones that were added; None for all.
    """

    def __init__(self, max_surveys: int | None = None) -> None:
        self._stored: list[tuple[np.ndarray, Survey]] = []
        self._used: collections.deque[tuple[np.ndarray, Survey]] = collections.deque(maxlen=max_surveys)

    @classmethod
    def read(cls, path: Path) -> "SurveyIndex":
        """Returns the index in a file; an empty one if it does not exist or, with a warning, if it is corrupted."""
        index = cls()
        if os.path.lexists(path):
            try:
                index._stored.append(_read(path))
            except InputError as error:
                log.warning("the index of images %r is ignored: %s", str(path), error)
        return index

    @property
    def has_surveys(self) -> bool:
        """Whether surveys were added, by a folder of images that is not too large for one."""
        return bool(self._used)

    def write(self, path: Path) -> None:
        """Writes the added surveys to an `.npz` file, atomically; not what was read and no longer exists.

        Raises:
            OSError: The file cannot be written.
        """
        keys, rows = np.unique(np.concatenate([NO_KEYS, *(keys for keys, _ in self._used)]), return_index=True)
        columns: dict[str, Any] = {
            name: np.concatenate([column, *(getattr(survey, name) for _, survey in self._used)])[rows]
            for name, column in Survey.blank(0).columns().items()
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=keys, **columns)

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, Survey]:
        """Returns which keys are known, a bool array of shape (files,), and their survey; the rows of others are 0."""
        parts = [*self._used, *self._stored]
        for known_keys, known in parts:
            if np.array_equal(known_keys, keys):
                return np.ones(len(keys), "bool"), known
        is_known, survey = np.zeros(len(keys), "bool"), Survey.blank(len(keys))
        for known_keys, known in parts:
            if not len(known_keys):
                continue
            order = np.argsort(known_keys)
            ranks = np.searchsorted(known_keys, keys, sorter=order)
            rows = order[np.minimum(ranks, len(order) - 1)]
            found = known_keys[rows] == keys
            survey.copy_rows(found, known, rows[found])
            is_known |= found
        return is_known, survey

    def add(self, keys: np.ndarray, survey: Survey) -> None:
        """Adds the survey of files with these keys, unless the same were added before. Arrays are not copied."""
        if not any(np.array_equal(keys, known_keys) for known_keys, _ in self._used):
            self._used.append((keys, survey))


def _read(path: Path) -> tuple[np.ndarray, Survey]:
    arrays = read_npz(path, "It is written again when the run starts.", _EXPECTED)
    with reading(path, _EXPECTED):
        keys, survey = arrays["keys"], Survey(**{name: arrays[name] for name in Survey.blank(0).columns()})
        expected = {"keys": np.zeros(keys.size, "uint64"), **Survey.blank(keys.size).columns()}
        for name, column in expected.items():
            if (arrays[name].dtype, arrays[name].shape) != (column.dtype, column.shape):
                raise ValueError(f"the array {name!r} does not belong to the others")
    return keys, survey
