"""Metrics as TensorBoard reads them."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from keras_cct.training.run_state import Row

DATA_CLASS_SCALAR = 1
"""TensorFlow's summary.proto has this number, and TensorFlow no public name for it."""


def event_writer(folder: Path) -> Callable[[Row], None]:
    """Returns a function that adds a row of summary.csv to the event files in a folder, a scalar per column."""
    writer = tf.summary.create_file_writer(str(folder))
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    scalars = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)

    def write(row: Row) -> None:
        with writer.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(name, tf.constant(value, tf.float32), row["epoch"], metadata=scalars)
        writer.flush()

    return write
