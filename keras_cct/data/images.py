"""One split of a dataset: labeled images in memory, in encoded files, or in a stream of records."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import decode_any_image
from keras_cct.data.unreadable import UnreadableImages, first_readable


def shuffled_indices(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns a permutation of 0 to `count - 1`, int32, that is a pure function of (seed, epoch)."""
    return _stateless_shuffle(tf.range(count), [seed, epoch])


def epoch_indices(labels: np.ndarray, seed: int, epoch: tf.Tensor, is_balanced: bool) -> tf.Tensor:
    """Returns the indices of the images of an epoch: `balanced_indices` or `shuffled_indices`."""
    return balanced_indices(labels, seed, epoch) if is_balanced else shuffled_indices(len(labels), seed, epoch)


def balanced_indices(labels: np.ndarray, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns indices of images, int32 of shape (images,), drawn with replacement and every class equally often.

    The draw is a pure function of (seed, epoch).

    Args:
        labels: Integer array of shape (images,).
        seed: Seed of the draw.
        epoch: Scalar int32 tensor.
    """
    counts = np.bincount(labels)
    present = counts > 0
    by_class = tf.constant(np.argsort(labels, kind="stable"), tf.int32)
    starts = tf.constant((np.cumsum(counts) - counts)[present], tf.int32)
    sizes = tf.constant(counts[present], tf.int32)
    draws = tf.random.stateless_uniform((2, len(labels)), tf.stack([seed, epoch]))
    chosen = tf.cast(draws[0] * tf.cast(tf.size(sizes), tf.float32), tf.int32)
    chosen = tf.minimum(chosen, tf.size(sizes) - 1)  # a draw may round up to 1
    size = tf.gather(sizes, chosen)
    rank = tf.minimum(tf.cast(draws[1] * tf.cast(size, tf.float32), tf.int32), size - 1)
    return tf.gather(by_class, tf.gather(starts, chosen) + rank)


def _stateless_shuffle(values: tf.Tensor, seed: tf.Tensor | list) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, seed)  # pyright: ignore[reportAttributeAccessIssue] (stub)


@dataclasses.dataclass(frozen=True)
class LabeledImages:
    """One split of a dataset, decoded, in memory; all images have the same size.

    Args:
        images: uint8 array of shape (images, height, width, channels).
        labels: Integer array of shape (images,), indices into `class_names`.
        class_names: Names of the classes.
        names: Name of each image; empty if they have none.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.images.shape[1:]


WINDOW_BYTES = 2**30
"""Size of the shuffle windows of a stream. The next window is read while the current one is used."""


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedImages:
    """One split of a dataset, encoded, with random access; images may have different sizes.

    Args:
        names: Name of each image, for messages; the path of its file if `contents` is None.
        labels: Integer array of shape (images,), indices into `class_names`.
        class_names: Names of the classes.
        contents: The encoded images; None to read them from their files.
        channels: Channels to decode to, 1 or 3.
    """

    names: Sequence[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    contents: Sequence[bytes] | None = None
    channels: int = 3

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[None, None, int]:
        """(None, None, channels): height and width may differ between images."""
        return (None, None, self.channels)

    @functools.cached_property
    def unreadable(self) -> UnreadableImages:
        """Images that could not be read so far."""
        return UnreadableImages(len(self), self.names.__getitem__)

    def in_order(self) -> tf.data.Dataset:
        """Returns a dataset of the arguments of `read`, the int32 index of each image, in order."""
        return tf.data.Dataset.range(len(self), output_type=tf.int32).map(lambda index: (index,))

    def shuffled(
        self, seed: int, epoch: tf.Tensor, num_skipped: tf.Tensor, is_balanced: bool = False
    ) -> tf.data.Dataset:
        """Returns the arguments of `read` for one epoch, in an order that is a pure function of (seed, epoch).

        The first `num_skipped` images of the epoch are skipped. With `is_balanced`, all classes are equally frequent.
        """
        order = epoch_indices(self.labels, seed, epoch, is_balanced)
        return tf.data.Dataset.from_tensor_slices((order[num_skipped:],))

    @functools.cached_property
    def _source(self) -> tf.Tensor:
        # Created outside of the graph that is being traced, so that all graphs share it.
        with tf.init_scope():
            return tf.constant(self.names if self.contents is None else self.contents)

    @functools.cached_property
    def _labels(self) -> tf.Tensor:
        with tf.init_scope():
            return tf.constant(self.labels, tf.int64)

    def read(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes an image, or the next readable one if it cannot be read.

        Args:
            index: Scalar int32 tensor.

        Returns:
            uint8 tensor of shape (height, width, channels), and its label, a scalar int64 tensor.
        """
        source, labels = self._source, self._labels

        def attempt(offset: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            position = tf.math.floormod(tf.cast(index, tf.int64) + offset, len(self))
            content = source[position] if self.contents is not None else tf.io.read_file(source[position])
            return decode_any_image(content, self.channels), labels[position]

        blank = tf.zeros((1, 1, self.channels), tf.uint8), tf.constant(0, tf.int64)
        image, label, num_failed = first_readable(attempt, blank, self.unreadable.max_attempts)
        return image, _note_failures(self.unreadable, index, num_failed, label)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordImages:
    """One split of a dataset, encoded, that can only be read sequentially and may not fit into memory.

    Args:
        records: Dataset of pairs: an encoded image, a scalar string tensor, and its label, a scalar int64 tensor.
        count: Number of records.
        mean_bytes: Mean size of an encoded image in bytes.
        class_names: Names of the classes.
        name: Name of the split, for messages.
        channels: Channels to decode to, 1 or 3.
    """

    records: tf.data.Dataset
    count: int
    mean_bytes: int
    class_names: tuple[str, ...]
    name: str
    channels: int = 3

    def __len__(self) -> int:
        return self.count

    @property
    def image_shape(self) -> tuple[None, None, int]:
        """(None, None, channels): height and width may differ between images."""
        return (None, None, self.channels)

    @functools.cached_property
    def unreadable(self) -> UnreadableImages:
        """Images that could not be read so far."""
        return UnreadableImages(self.count, lambda index: f"image {index} of {self.name}", has_replacements=False)

    def in_order(self) -> tf.data.Dataset:
        """Returns the arguments of `read` for every image in order: its index, int32, the encoded image, its label."""
        indices = tf.data.Dataset.range(self.count, output_type=tf.int32)
        return tf.data.Dataset.zip(indices, self.records).map(lambda index, record: (index, *record))

    def shuffled(self, seed: int, epoch: tf.Tensor, num_skipped: tf.Tensor) -> tf.data.Dataset:
        """Returns the arguments of `read` for one epoch, in an order that is a pure function of (seed, epoch).

        Consecutive windows of about 1 GiB are shuffled one by one. The first `num_skipped` images of the epoch are
        skipped: they are read, but not decoded.
        """
        return self._shuffle_windows(self.in_order(), seed, epoch).skip(tf.cast(num_skipped, tf.int64))

    def shuffled_indices(self, seed: int, epoch: tf.Tensor, num_skipped: tf.Tensor) -> tf.data.Dataset:
        """Returns the indices of the images of `shuffled`, without reading the records."""
        indices = tf.data.Dataset.range(self.count, output_type=tf.int32).map(lambda index: (index,))
        shuffled = self._shuffle_windows(indices, seed, epoch).skip(tf.cast(num_skipped, tf.int64))
        return shuffled.map(lambda index: index)

    def _shuffle_windows(self, items: tf.data.Dataset, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        window = max(1, min(self.count, WINDOW_BYTES // max(1, self.mean_bytes)))

        def shuffled_window(indices: tf.Tensor, *rest: tf.Tensor) -> tf.data.Dataset:
            bits = tf.random.stateless_uniform((2,), tf.stack([seed, epoch]), None, None, tf.int32)  # pyright: ignore[reportArgumentType] (full range)
            order = _stateless_shuffle(tf.range(tf.size(indices)), bits + indices[:1])
            # To gather the window, and to divide it, would each take the memory of another one.
            return tf.data.Dataset.from_tensor_slices(order).map(
                lambda row: tuple(values[row] for values in (indices, *rest))
            )

        return items.batch(window).prefetch(1).flat_map(shuffled_window)

    def read(self, index: tf.Tensor, encoded: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes an image.

        Args:
            index: Scalar int32 tensor.
            encoded: Scalar string tensor.
            label: Scalar int64 tensor.

        Returns:
            uint8 tensor of shape (height, width, channels), and its label.
        """
        blank = (tf.zeros((1, 1, self.channels), tf.uint8),)
        image, num_failed = first_readable(lambda _: (decode_any_image(encoded, self.channels),), blank, attempts=1)
        return image, _note_failures(self.unreadable, index, num_failed, label)


ImageSet = LabeledImages | EncodedImages | RecordImages


def _note_failures(
    unreadable: UnreadableImages, index: tf.Tensor, num_failed: tf.Tensor, label: tf.Tensor
) -> tf.Tensor:
    """Records failed attempts and returns the label. Calls into Python only after a failure."""

    def note(index: tf.Tensor, num_failed: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        unreadable.note(int(index), int(num_failed))
        return label

    def note_and_return_label() -> tf.Tensor:
        return tf.ensure_shape(tf.py_function(note, [index, num_failed, label], tf.int64), ())

    return tf.cond(num_failed > 0, note_and_return_label, lambda: label)
