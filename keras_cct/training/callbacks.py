"""Callbacks of a training run: NaN check, evaluation of the averaged weights, metrics of every epoch."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_cct.errors import InputError
from keras_cct.training.folder import RunFolder

EpochMetrics = dict[str, float]
"""A row of summary.csv. "epoch" counts from 1, as in all user-facing output; Keras's callbacks count from 0."""


class StepTimer:
    """Measures how long steps take. Of the first pass, the first step is left out: it is compiled while it runs."""

    def __init__(self) -> None:
        self._num_passes = 0

    def start(self) -> None:
        """Starts a pass, such as the training steps of an epoch."""
        self._num_passes += 1
        self._times = [time.perf_counter()]

    def end_step(self) -> None:
        """Counts a step that has just ended."""
        self._times.append(time.perf_counter())

    @property
    def seconds_per_step(self) -> float:
        """Mean duration of the steps of this pass."""
        first = self._num_left_out
        return (self._times[-1] - self._times[first]) / (len(self._times) - 1 - first)

    @property
    def start_up_seconds(self) -> float:
        """By how much the step that is left out was longer than the others."""
        return self._times[1] - self._times[0] - self.seconds_per_step if self._num_left_out else 0.0

    @property
    def has_only_compiled(self) -> bool:
        """Whether the only step so far was compiled while it ran, so that its duration says little about others."""
        return self._num_passes == 1 and len(self._times) == 2

    @property
    def _num_left_out(self) -> int:
        return int(self._num_passes == 1 and len(self._times) > 2)


class FiniteLossCheck(keras.callbacks.Callback):
    """Aborts training on a NaN or infinite loss, before anything of that epoch is saved.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._check(logs["loss"], f"in epoch {self._epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._check(logs["val_loss"], f"of the evaluation after epoch {epoch + 1}")

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"the loss {where} is {loss}. Lower lr, raise warmup_epochs or set clip_grad; "
                f"the files saved before in {str(self.folder.path)!r} are intact."
            )


class UnpaddedLoss(keras.callbacks.Callback):
    """Corrects the loss of an evaluation whose batches were filled up with images of weight 0.

    Keras divides the sum of the weighted losses by the number of all images, also of those of weight 0. Metrics are
    divided by the sum of the weights, and need no correction.

    Args:
        num_images: Number of evaluation images.
        batch_size: Images per evaluation step, over all devices.
    """

    def __init__(self, num_images: int, batch_size: int) -> None:
        super().__init__()
        self.factor = math.ceil(num_images / batch_size) * batch_size / num_images

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name in ("val_loss", "raw_loss"):
            if name in logs:
                logs[name] *= self.factor


class AverageEvaluation(keras.callbacks.Callback):
    """Evaluates the moving average of the weights and logs its metrics as `val_*`.

    The metrics of the raw weights move to `raw_*`.

    Args:
        batches: The evaluation batches, as for `fit`.
        observers: Callbacks that are called for each batch.
    """

    def __init__(self, batches: Any, observers: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.batches = batches
        self.observers = list(observers)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        model: Any = self.model
        with averaged_weights(model):
            averaged = model.evaluate(self.batches, verbose=0, return_dict=True, callbacks=self.observers)
        for name, value in averaged.items():
            logs[f"raw_{name}"], logs[f"val_{name}"] = logs[f"val_{name}"], value


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Assigns the moving averages to a model's weights inside the block, and restores the raw weights after it."""
    averages = averages_of(model)
    raw = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    for weight, average in zip(model.trainable_weights, averages, strict=True):
        weight.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for weight, value in zip(model.trainable_weights, raw, strict=True):
            weight.assign(value)


def averages_of(model: keras.Model) -> list[keras.Variable]:
    """Returns the moving average of each trainable weight, in their order; an empty list without `model_ema`."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return getattr(optimizer, "averages", [])


class Summary(keras.callbacks.Callback):
    """Adds a row of metrics per epoch to summary.csv.

    Args:
        folder: The run folder; None to write nothing.
        batch_size: Images per step.
        rows: The rows of the previous epochs.
        listeners: Functions to call with each new row.
    """

    def __init__(
        self,
        folder: RunFolder | None,
        batch_size: int,
        rows: list[EpochMetrics],
        listeners: list[Callable[[EpochMetrics], None]],
    ) -> None:
        super().__init__()
        self.folder = folder
        self.batch_size = batch_size
        self.rows = list(rows)
        self.listeners = listeners
        self._timer = StepTimer()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._timer.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._timer.end_step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch + 1, "train_loss": logs["loss"]}
        for source, name in (("val", "eval"), ("raw", "raw")):
            if f"{source}_loss" in logs:
                row[f"{name}_loss"] = logs[f"{source}_loss"]
                row |= {f"{name}_{top}": 100 * logs[f"{source}_{top}"] for top in ("top1", "top5")}
        row["learning_rate"] = logs["learning_rate"]
        row["images_per_second"] = self.batch_size / self._timer.seconds_per_step
        self.rows.append({key: float(f"{value:.7g}") for key, value in row.items()} | {"epoch": epoch + 1})
        if self.folder is not None:
            self.folder.write_summary(self.rows)
        for listener in self.listeners:
            listener(self.rows[-1])
