"""Outputs for the metrics of a run: the log, TensorBoard, Weights & Biases and a plot."""

import contextlib
import errno
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tqdm

from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.training.callbacks import EpochMetrics, StepTimer
from keras_cct.training.checkpoints import ranked_rows
from keras_cct.training.folder import RunFolder

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
MAX_K = 5
"""With at most this many classes, top-5 accuracy is always 100 % and not reported."""


class Progress(keras.callbacks.Callback):
    """Logs a line per epoch with training and validation metrics, throughput and remaining time.

    Within an epoch, it shows a bar on standard error if that is a terminal, and else logs a line every 30 seconds.

    Args:
        num_epochs: Epochs of the whole run.
        num_steps: Steps per epoch.
        batch_size: Images per step.
        first_step: Steps of the first epoch that were completed before the run was resumed; 0 in a new run.
        num_classes: Number of classes. With five or fewer, the top-5 accuracy is always 100 % and left out.
    """

    def __init__(self, num_epochs: int, num_steps: int, batch_size: int, first_step: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_epochs = num_epochs
        self.num_steps = num_steps
        self.batch_size = batch_size
        self._first_step = first_step
        self._evaluation_seconds = 0.0
        self._training, self._evaluation = StepTimer(), StepTimer()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._last_line = time.perf_counter()
        self._training.start()
        self._bar = tqdm.tqdm(
            desc=f"epoch {epoch + 1} of {self.num_epochs}",
            total=self.num_steps * self.batch_size,
            initial=self._first_step * self.batch_size,
            unit=" images",
            disable=None,  # unless standard error is a terminal
            leave=False,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._training.end_step()
        now = self._training_end = time.perf_counter()
        self._bar.set_postfix(loss=f"{logs['loss']:.4f}", refresh=False)
        self._bar.update(self.batch_size)
        is_due = now - self._last_line >= SECONDS_BETWEEN_LINES and not self._training.has_only_compiled
        if self._bar.disable and is_due:
            self._last_line = now
            step = self._first_step + batch + 1
            self._log(f", step {step} of {self.num_steps}: training loss {logs['loss']:.4f}", self.num_steps - step)

    def on_test_begin(self, logs: Any = None) -> None:
        self._bar.close()
        self._evaluation.start()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._evaluation.end_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # With what follows the evaluation batches: the averaged weights and the checkpoints.
        self._evaluation_seconds = time.perf_counter() - self._training_end - self._evaluation.start_up_seconds
        self._first_step = 0
        self._bar.close()
        top5 = f", top-5 {100 * logs['val_top5']:.2f} %" if self.num_classes > MAX_K else ""
        self._log(
            f": training loss {logs['loss']:.4f}, top-1 {100 * logs['top1']:.2f} %; validation loss "
            f"{logs['val_loss']:.4f}, top-1 {100 * logs['val_top1']:.2f} %{top5}",
            0,
        )

    def _log(self, details: str, steps_left: int) -> None:
        epochs_left = self.num_epochs - self._epoch - 1
        seconds = self._training.seconds_per_step * (steps_left + epochs_left * self.num_steps)
        seconds += self._evaluation_seconds * (epochs_left + (steps_left > 0))
        throughput = self.batch_size / self._training.seconds_per_step
        log.info(
            "epoch %d of %d%s, %s images/s, %s left",
            self._epoch + 1,
            self.num_epochs,
            details,
            f"{throughput:,.0f}" if throughput >= 10 else f"{throughput:.2g}",
            duration(seconds),
        )


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units, e.g. "2 min 56 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


DATA_CLASS_SCALAR = 1
"""The value in TensorFlow's summary.proto; TensorFlow has no public name for it."""


def event_writer(folder: Path) -> Callable[[EpochMetrics], None]:
    """Returns a function that writes a row of summary.csv to TensorBoard's event files, one scalar per column.

    Uses `tf.summary.write` on every backend: `tf.summary.scalar` needs the package `tensorboard`, on which TensorFlow
    no longer depends.
    """
    import tensorflow as tf

    with _os_errors_of_tensorflow(folder):
        writer = tf.summary.create_file_writer(str(folder))
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    scalars = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)

    def write(row: EpochMetrics) -> None:
        with _os_errors_of_tensorflow(folder), writer.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(name, tf.constant(value, tf.float32), row["epoch"], metadata=scalars)
            writer.flush()

    return write


@contextlib.contextmanager
def _os_errors_of_tensorflow(path: Path) -> Iterator[None]:
    """Replaces TensorFlow's error about a file by the OSError that Python raises for the same problem."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        # "{{function_node ...}} path; No space left on device [Op:...] name: "
        reason = re.sub(r"^{{.*?}} | \[Op:.*", "", error.message.splitlines()[0]).rpartition("; ")[2]
        raise OSError(errno.EIO, reason, str(path)) from error


def check_wandb() -> None:
    """Raises InputError if wandb is not installed."""
    try:
        import wandb  # noqa: F401  # pyright: ignore[reportMissingImports] (optional)
    except ImportError as error:
        raise InputError(
            "--log-wandb needs wandb, which is not installed. Run `pip install wandb`, or leave --log-wandb out."
        ) from error


def wandb_writer(folder: RunFolder, settings: dict[str, object]) -> Callable[[EpochMetrics], None]:
    """Returns a function that logs a row of summary.csv to Weights & Biases, where a resumed run continues its curves.

    Args:
        folder: The run folder; its name is used as the name of the run.
        settings: The keys of the recipe.
    """
    import wandb  # pyright: ignore[reportMissingImports] (optional)

    if not folder.wandb_id.exists():
        with replacing(folder.wandb_id) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    run = wandb.init(
        project="keras_cct",
        name=folder.path.resolve().name,
        id=folder.wandb_id.read_text(),
        resume="allow",
        reinit="finish_previous",  # otherwise all runs of a process would be logged to the first one
        config=settings,
        dir=folder.path,
    )
    return lambda row: run.log(row, step=row["epoch"])


def draw_curves(rows: Sequence[EpochMetrics], title: str, path: Path, num_classes: int) -> None:
    """Plots loss and accuracy over the epochs.

    Args:
        rows: The rows of summary.csv, one per epoch.
        title: Title of the plot.
        num_classes: Number of classes; the top-5 accuracy is plotted for more than five.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    figure.suptitle(title)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for column, label in (("train_loss", "training, soft targets"), ("eval_loss", "evaluation")):
        loss_axes.plot(epochs, [row[column] for row in rows], marker=".", label=label)
    loss_axes.set(xlabel="epoch", ylabel="cross-entropy")
    best = ranked_rows(rows, "top1")[0]
    accuracy_axes.plot(epochs, [row["eval_top1"] for row in rows], marker=".", label="top-1")
    if num_classes > MAX_K:
        accuracy_axes.plot(epochs, [row["eval_top5"] for row in rows], marker=".", label="top-5")
    accuracy_axes.axhline(
        best["eval_top1"],
        color="gray",
        linewidth=0.8,
        label=f"best top-1: {best['eval_top1']:.1f} % in epoch {best['epoch']}",
    )
    accuracy_axes.set(xlabel="epoch", ylabel="evaluation accuracy in %")
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary)
