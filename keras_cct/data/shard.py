"""Which images of every batch one of several processes decodes."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_cct.data.augment.batches import static_shape


@dataclasses.dataclass(frozen=True)
class Shard:
    """The part of one process in every batch.

    Mixup and CutMix mix image i of a batch with image B - 1 - i. In all processes together a batch has the order 0,
    B - 1, 1, B - 2, ..., so that both images of a pair are in one process, and that the order does not depend on the
    number of processes: dropout then drops the same values in any number of them.

    Args:
        index: Index of the process.
        count: Number of processes.
    """

    index: int
    count: int

    def size(self, batch_size: int) -> int:
        """Returns the images of a batch that belong to this process; `count` must divide the batch size."""
        return batch_size // self.count

    def rows(self, batch_size: int) -> np.ndarray:
        """Returns the rows of a batch that belong to this process, int64, so that row i pairs with row -1 - i."""
        size = self.size(batch_size)
        paired = np.argsort(np.minimum(np.arange(batch_size), np.arange(batch_size)[::-1]), kind="stable")
        own = paired[self.index * size : (self.index + 1) * size]
        return own[_unpaired(size)]

    def restore_pairs(self, values: tf.Tensor) -> tf.Tensor:
        """Brings the rows of `rows`, once mixed, into the order of the batch, in which pairs are neighbors."""
        return tf.gather(values, np.argsort(_unpaired(static_shape(values)[0])))

    def select(self, items: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Returns batches of this process's items of every full batch, in the order of `rows`."""
        rows = self.rows(batch_size)
        batches = items.batch(batch_size, drop_remainder=True)
        return batches.map(lambda *batch: tuple(tf.gather(values, rows) for values in batch))

    def select_consecutive(self, items: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Returns this process's items of every batch, which follow each other; of an incomplete batch, maybe none."""
        start, size = self.index * self.size(batch_size), self.size(batch_size)
        batches = items.batch(batch_size)
        return batches.map(lambda *batch: tuple(values[start : start + size] for values in batch)).unbatch()

    def num_missing(self, num_items: int, batch_size: int) -> int:
        """Returns how many items `select_consecutive` lacks for batches that are all complete."""
        size, rest = self.size(batch_size), num_items % batch_size
        return size - min(max(rest - self.index * size, 0), size) if rest else 0


def _unpaired(size: int) -> np.ndarray:
    """Returns the indices of the first images of neighboring pairs, then of the second images in reverse order."""
    positions = np.arange(size)
    return np.concatenate([positions[::2], positions[1::2][::-1]])
