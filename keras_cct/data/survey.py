"""Reads every image of a dataset once: which are readable, their sizes, their mean, and which have the same pixels."""

import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import decode_any_image
from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.npz import read_npz

log = logging.getLogger(__name__)

MAX_BYTES = 2**31
"""Larger datasets are not surveyed: decoding them takes longer than a user waits for a model to start."""
MIN_CACHED_BYTES = 2**24
"""The survey of smaller datasets takes a second and is not cached on disk."""

_COLUMNS = ("readable", "sizes", "sums", "squares", "fingerprints")


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one pass over the images has found. Rows of unreadable images are 0.

    Args:
        readable: Whether each image can be decoded, bool array of shape (images,).
        sizes: Height and width of each upright image, int64 array of shape (images, 2).
        sums: Sum of each channel over the pixels in [0, 255], float64 array of shape (images, 3).
        squares: The same for the squares of the pixels.
        fingerprints: Hash of the pixels of each image, uint64 array of shape (images,).
    """

    readable: np.ndarray
    sizes: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    fingerprints: np.ndarray

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns mean and standard deviation of each channel over all pixels of all images, in [0, 1]."""
        num_pixels = self.sizes.prod(axis=1, dtype="float64").sum()
        mean = self.sums.sum(axis=0) / num_pixels
        std = np.sqrt(np.maximum(self.squares.sum(axis=0) / num_pixels - mean * mean, 0))
        return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def survey_files(paths: Sequence[str]) -> Survey | None:
    """Returns the survey of image files, decoded to RGB; None if they have more than 2 GiB.

    The survey of more than 16 MiB is cached in `keras_cct/surveys` in the folder named by KERAS_HOME, by default
    ~/.keras, until a file changes.
    """
    facts = tuple((path, *_size_and_time(path)) for path in paths)
    num_bytes = sum(size for _, size, _ in facts)
    return _survey(facts, num_bytes) if num_bytes <= MAX_BYTES else None


def channel_sums(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sum of each channel and that of its squares, exactly and without a copy of the image in float64.

    Args:
        image: uint8 tensor of shape (height, width, channels); the number of channels is known.

    Returns:
        Two float64 tensors of shape (channels,).
    """
    values = tf.range(256, dtype=tf.float64)
    no_weights = tf.zeros(0, tf.float64)
    counts = tf.stack(
        [
            tf.raw_ops.DenseBincount(input=tf.cast(tf.reshape(channel, [-1]), tf.int32), size=256, weights=no_weights)
            for channel in tf.unstack(image, axis=-1)
        ]
    )
    return tf.linalg.matvec(counts, values), tf.linalg.matvec(counts, values * values)


def same_pixels(survey: Survey, other: Survey) -> list[tuple[int, int]]:
    """Returns the pairs of indices of readable images with the same pixels, sorted by the index in `other`."""
    first = {int(value): index for index, value in enumerate(survey.fingerprints) if survey.readable[index]}
    values = enumerate(map(int, other.fingerprints))
    return [(first[value], index) for index, value in values if other.readable[index] and value in first]


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 # a dataset can have a million files
    except OSError:  # a dangling link counts as unreadable
        return 0, 0
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _survey(facts: tuple[tuple[str, int, int], ...], num_bytes: int) -> Survey:
    is_cached = num_bytes >= MIN_CACHED_BYTES
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    cache = home / "keras_cct" / "surveys" / f"{key}.npz"
    if is_cached and cache.is_file():
        try:
            stored = read_npz(cache)
            survey = Survey(*(stored[column] for column in _COLUMNS))
            if survey.readable.shape == (len(facts),):
                return survey
        except (InputError, KeyError) as error:
            log.warning("the cached survey %s is ignored: %s", cache, error)
    if is_cached:
        log.info("reading %d images once to measure them", len(facts))
    survey = _measure([path for path, _, _ in facts])
    if is_cached:
        _write(survey, cache)
    return survey


def _measure(paths: list[str]) -> Survey:
    def measure(index: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image = decode_any_image(tf.io.read_file(path), 3)
        fingerprint = tf.raw_ops.Fingerprint(data=tf.reshape(image, (1, -1)), method="farmhash64")
        return index, tf.shape(image)[:2], *channel_sums(image), tf.bitcast(fingerprint[0], tf.uint64)

    count = len(paths)
    survey = Survey(
        np.zeros(count, "bool"),
        np.zeros((count, 2), "int64"),
        np.zeros((count, 3), "float64"),
        np.zeros((count, 3), "float64"),
        np.zeros(count, "uint64"),
    )
    dataset = tf.data.Dataset.from_tensor_slices((tf.range(count), paths))
    measured = dataset.map(measure, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    for index, size, total, squares, fingerprint in measured.prefetch(1).as_numpy_iterator():
        survey.readable[index] = True
        survey.sizes[index], survey.sums[index], survey.squares[index] = size, total, squares
        # Images of the same bytes and another shape differ.
        survey.fingerprints[index] = fingerprint ^ np.uint64(size[1])
    return survey


def _write(survey: Survey, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{column: getattr(survey, column) for column in _COLUMNS})
    except OSError as error:
        log.warning("the survey of the images cannot be cached in %s: %s", path, error.strerror)
