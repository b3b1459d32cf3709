"""Reads every image of a dataset once: which are readable, their sizes, their mean, and which have the same pixels."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import decode_any_image, without_optimizations
from keras_cct.data.file_stamps import file_stamps
from keras_cct.data.survey_index import Survey, SurveyIndex, file_keys

log = logging.getLogger(__name__)

MAX_BYTES = 2**31
"""Larger datasets are not surveyed: decoding them takes longer than a user waits for a model to start."""
MIN_CACHED_BYTES = 2**24
"""The survey of smaller datasets takes a second and is not cached on disk."""

BATCH_SIZE = 256
_recent = SurveyIndex(max_surveys=4)


def survey_files(paths: Sequence[str], index: SurveyIndex | None = None) -> Survey | None:
    """Returns the survey of image files, decoded to RGB; None if they have more than 2 GiB.

    Only files that are new or have changed are read. The survey of more than 16 MiB is cached in `keras_cct/surveys` in
    the folder named by KERAS_HOME, by default ~/.keras, until a file changes.

    Args:
        paths: Paths of the files.
        index: Surveys of the same files in earlier processes. The survey is added to it.
    """
    stamps = file_stamps(paths)
    num_bytes = stamps.sizes.clip(0)
    if num_bytes.sum() > MAX_BYTES:
        return None
    keys = file_keys(paths, stamps)
    cache = _cache_file(keys) if num_bytes.sum() >= MIN_CACHED_BYTES else None
    is_known, survey = _find(keys, index, cache)
    if not is_known.all():
        missing = np.flatnonzero(~is_known)
        if cache is not None:
            log.info("reading %d images once to measure them", len(missing))
        survey.copy_rows(missing, _measure([paths[row] for row in missing.tolist()]), np.arange(len(missing)))
        survey.file_bytes[missing] = num_bytes[missing]
    for known in (_recent, index):
        if known is not None:
            known.add(keys, survey)
    if cache is not None and not is_known.all():
        _write(keys, survey, cache)
    return survey


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
    """Returns the pairs of indices of readable images with the same pixels, sorted by the index in `other`.

    Of several images of `survey` with the same pixels, the last one is in the pairs.
    """
    candidates = np.flatnonzero(survey.readable)[::-1]
    fingerprints, positions = np.unique(survey.fingerprints[candidates], return_index=True)
    rows = np.flatnonzero(other.readable & np.isin(other.fingerprints, fingerprints))
    partners = candidates[positions[np.searchsorted(fingerprints, other.fingerprints[rows])]]
    return list(zip(partners.tolist(), rows.tolist(), strict=True))


def _cache_file(keys: np.ndarray) -> Path:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return home / "keras_cct" / "surveys" / f"{hashlib.sha256(keys.tobytes()).hexdigest()}.npz"


def _find(keys: np.ndarray, index: SurveyIndex | None, cache: Path | None) -> tuple[np.ndarray, Survey]:
    """Returns which files are known, a bool array of shape (files,), and their survey; the rows of others are 0."""

    def sources() -> Iterator[SurveyIndex]:
        yield _recent
        if index is not None:
            yield index
        if cache is not None:
            yield SurveyIndex.read(cache)

    is_known, survey = np.zeros(len(keys), "bool"), Survey.blank(len(keys))
    for source in sources():
        is_found, found = source.find(keys)
        if is_found.all():
            return is_found, found
        rows = np.flatnonzero(is_found & ~is_known)
        survey.copy_rows(rows, found, rows)
        is_known |= is_found
    return is_known, survey


def _measure(paths: list[str]) -> Survey:
    def measure(index: tf.Tensor, path: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image = decode_any_image(tf.io.read_file(path), 3)
        fingerprint = tf.raw_ops.Fingerprint(data=tf.reshape(image, (1, -1)), method="farmhash64")
        return index, tf.shape(image)[:2], *channel_sums(image), tf.bitcast(fingerprint[0], tf.uint64)

    count = len(paths)
    survey = Survey.blank(count)
    dataset = tf.data.Dataset.from_tensor_slices((tf.range(count), paths))
    measured = dataset.map(measure, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    # To hand single images to Python would take longer than to decode small ones.
    batches = measured.batch(BATCH_SIZE).prefetch(1).with_options(without_optimizations())
    for rows, sizes, sums, squares, fingerprints in batches.as_numpy_iterator():
        survey.readable[rows] = True
        survey.sizes[rows], survey.sums[rows], survey.squares[rows] = sizes, sums, squares
        # Images of the same bytes and another shape differ.
        survey.fingerprints[rows] = fingerprints ^ sizes[:, 1].astype("uint64")
    return survey


def _write(keys: np.ndarray, survey: Survey, path: Path) -> None:
    found = SurveyIndex()
    found.add(keys, survey)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        found.write(path)
    except OSError as error:
        log.warning("the survey of the images cannot be cached in %s: %s", path, error.strerror)
