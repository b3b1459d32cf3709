"""Images of any size with their labels, decoded as they are needed, from files, from memory or from a stream."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import decode_image
from keras_cct.data.unreadable import UnreadableImages, first_readable


def shuffled_indices(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Returns the numbers from 0 to below `count` in an order that depends on seed and epoch only, int32."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch])


@dataclasses.dataclass(frozen=True)
class LabeledImages:
    """One split of a data set.

    Args:
        images: uint8 array of shape (images, height, width, channels).
        labels: Integer array of shape (images,), indices into `class_names`.
        class_names: Names of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.images.shape[1:]


WINDOW_BYTES = 2**30
"""Size of the part of a stream that is shuffled at a time; the next one is read meanwhile."""


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedImages:
    """One split of a data set, with access to any image.

    Args:
        names: What to call each image; the path of its file where `contents` is not given.
        labels: Integer array of shape (images,), indices into `class_names`.
        class_names: Names of the classes.
        contents: The encoded images; None to read the files.
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
        """(height, width, channels); the first two differ between images."""
        return (None, None, self.channels)

    @functools.cached_property
    def unreadable(self) -> UnreadableImages:
        """The images that could not be read so far."""
        return UnreadableImages(len(self), self.names.__getitem__)

    def in_order(self) -> tf.data.Dataset:
        """Returns the arguments of `read` for every image: its index, int32."""
        return tf.data.Dataset.range(len(self), output_type=tf.int32).map(lambda index: (index,))

    def shuffled(self, seed: int, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """Returns the same for an epoch, in an order that depends on seed and epoch only, without the `first` ones."""
        return tf.data.Dataset.from_tensor_slices((shuffled_indices(len(self), seed, epoch)[first:],))

    @functools.cached_property
    def _source(self) -> tf.Tensor:
        # Kept outside of any graph that is being traced, so that all share it.
        with tf.init_scope():
            return tf.constant(self.names if self.contents is None else self.contents)

    @functools.cached_property
    def _labels(self) -> tf.Tensor:
        with tf.init_scope():
            return tf.constant(self.labels, tf.int64)

    def read(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes an image, or the next one that can be read.

        Args:
            index: Scalar int32 tensor.

        Returns:
            uint8 tensor of shape (height, width, channels), and its label, a scalar int64 tensor.
        """
        source, labels = self._source, self._labels

        def attempt(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            position = (tf.cast(index, tf.int64) + number) % len(self)
            content = source[position] if self.contents is not None else tf.io.read_file(source[position])
            return decode_image(content, self.channels), labels[position]

        blank = tf.zeros((1, 1, self.channels), tf.uint8), tf.constant(0, tf.int64)
        image, label, num_failed = first_readable(attempt, blank, self.unreadable.most_attempts)
        return image, _note_failures(self.unreadable, index, num_failed, label)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordImages:
    """One split of a data set that is too large for memory and can only be read from start to end.

    Args:
        records: Dataset of pairs of an encoded image, a scalar string tensor, and its label, a scalar int64 tensor.
        count: Number of records.
        mean_bytes: Mean size of an encoded image.
        class_names: Names of the classes.
        name: What to call the set in messages.
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
        """(height, width, channels); the first two differ between images."""
        return (None, None, self.channels)

    @functools.cached_property
    def unreadable(self) -> UnreadableImages:
        """The images that could not be read so far."""
        return UnreadableImages(self.count, lambda index: f"image {index} of {self.name}", has_others=False)

    def in_order(self) -> tf.data.Dataset:
        """Returns the arguments of `read` for every image: its index, int32, the encoded image and its label."""
        indices = tf.data.Dataset.range(self.count, output_type=tf.int32)
        return tf.data.Dataset.zip(indices, self.records).map(lambda index, record: (index, *record))

    def shuffled(self, seed: int, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """Returns the same for an epoch, without the `first` ones.

        Windows of about 1 GiB, in the order of the records, are shuffled each by itself. What is skipped is read, but
        not decoded.
        """
        window = max(1, min(self.count, WINDOW_BYTES // max(1, self.mean_bytes)))

        def shuffle_window(indices: tf.Tensor, encoded: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
            keys = tf.random.stateless_uniform((2,), [seed, epoch], None, None, tf.int32) + indices[:1]
            order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(indices)), keys)
            return tf.gather(indices, order), tf.gather(encoded, order), tf.gather(labels, order)

        return self.in_order().batch(window).map(shuffle_window).prefetch(1).unbatch().skip(tf.cast(first, tf.int64))

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
        image, num_failed = first_readable(lambda _: (decode_image(encoded, self.channels),), blank, attempts=1)
        return image, _note_failures(self.unreadable, index, num_failed, label)


ImageSet = LabeledImages | EncodedImages | RecordImages


def _note_failures(
    unreadable: UnreadableImages, index: tf.Tensor, num_failed: tf.Tensor, label: tf.Tensor
) -> tf.Tensor:
    """Returns the label; calls Python only where an attempt has failed."""

    def note(index: tf.Tensor, num_failed: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        unreadable.note(int(index), int(num_failed))
        return label

    def noted() -> tf.Tensor:
        return tf.ensure_shape(tf.py_function(note, [index, num_failed, label], tf.int64), ())

    return tf.cond(num_failed > 0, noted, lambda: label)
