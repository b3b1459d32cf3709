"""What happens during training: rows of metrics, guards, the average's evaluation, states to go on from."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import keras

from keras_cct.errors import InputError
from keras_cct.training.folder import RunFolder
from keras_cct.training.state import Facts, Row, RunState


class FiniteLoss(keras.callbacks.Callback):
    """Stops a run whose loss is no number, before anything of it is saved.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: RunFolder):
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs["loss"], f"of epoch {self._epoch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs["val_loss"], f"of the evaluation after epoch {epoch + 1}")

    def _check(self, loss: float, place: str) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"the loss {place} is {loss}. Lower lr, lengthen warmup_epochs or set clip_grad; "
                f"{str(self.folder.path)!r} keeps what was saved before."
            )


class AverageEvaluation(keras.callbacks.Callback):
    """Evaluates the moving average of the weights; its metrics take the place of the raw weights' `val_*`.

    The raw weights' metrics stay in the logs as `raw_*`.

    Args:
        batches: The evaluation images, as for `fit`.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_end(self, epoch, logs=None):
        with averaged_weights(self.model):
            averaged = self.model.evaluate(self.batches, verbose=0, return_dict=True)
        for name, value in averaged.items():
            logs[f"raw_{name}"], logs[f"val_{name}"] = logs[f"val_{name}"], value


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Gives a model the moving average of its weights for the time of the block."""
    averages = average_of(model)
    raw = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    for weight, average in zip(model.trainable_weights, averages, strict=True):
        weight.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for weight, value in zip(model.trainable_weights, raw, strict=True):
            weight.assign(value)


def average_of(model: keras.Model) -> list[keras.Variable]:
    """Returns the moving average of each trainable weight, in their order; nothing where none is kept."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return getattr(optimizer, "averages", [])


class Summary(keras.callbacks.Callback):
    """Adds each epoch's metrics to the run's summary.csv.

    Args:
        folder: The run folder.
        batch_size: Images per step.
        rows: The rows of the epochs before.
        listeners: Are called with each new row.
    """

    def __init__(self, folder: RunFolder, batch_size: int, rows: list[Row], listeners: list[Callable[[Row], None]]):
        super().__init__()
        self.folder = folder
        self.batch_size = batch_size
        self.rows = list(rows)
        self.listeners = listeners

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._num_steps = time.perf_counter(), 0

    def on_train_batch_end(self, batch, logs=None):
        self._num_steps += 1
        self._training_seconds = time.perf_counter() - self._start

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, "train_loss": logs["loss"]}
        for source, name in (("val", "eval"), ("raw", "raw")):
            if f"{source}_loss" in logs:
                row[f"{name}_loss"] = logs[f"{source}_loss"]
                row |= {f"{name}_{top}": 100 * logs[f"{source}_{top}"] for top in ("top1", "top5")}
        row["learning_rate"] = logs["learning_rate"]
        row["images_per_second"] = self._num_steps * self.batch_size / self._training_seconds
        self.rows.append({key: float(f"{value:.7g}") for key, value in row.items()} | {"epoch": epoch})
        self.folder.write_summary(self.rows)
        for listener in self.listeners:
            listener(self.rows[-1])


class StateSaver(keras.callbacks.Callback):
    """Saves the state after every epoch, and within one after some steps.

    It must be the last callback: what the others wrote belongs to the epoch that its state calls complete.

    Args:
        folder: The run folder.
        summary: The rows to save with it.
        steps: The steps of an epoch after which to save.
        data: What the run trains on, to be saved with it.
        state: Where training goes on, if it does.
    """

    def __init__(self, folder: RunFolder, summary: Summary, steps: range, data: Facts, state: RunState | None):
        super().__init__()
        self.data = data
        self.folder = folder
        self.summary = summary
        self.steps = steps
        self._resumed = state

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._first_step = epoch, 0
        if self._resumed is not None:
            self._first_step = self._resumed.step
            self._resumed.restore_generator()
            if self._first_step > 0:
                self._resumed.restore_loss(self.model)
            self._resumed = None

    def on_train_batch_end(self, batch, logs=None):
        step = self._first_step + batch + 1
        if step in self.steps:
            self._save(self._epoch, step)

    def on_epoch_end(self, epoch, logs=None):
        self._save(epoch + 1, 0)

    def _save(self, epoch: int, step: int) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        RunState.of(self.model, epoch, step, self.summary.rows, self.data).write(self.folder.state)
