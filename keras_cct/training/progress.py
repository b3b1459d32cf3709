"""What the log says while a model trains."""

import logging
import time

import keras

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class Progress(keras.callbacks.Callback):
    """Logs a line per epoch, and one every 30 seconds within an epoch, with throughput and time left.

    Args:
        num_epochs: Epochs of the whole run.
        num_steps: Steps per epoch.
        batch_size: Images per step.
        first_step: Steps of the first epoch that a run before this one has done.
    """

    def __init__(self, num_epochs: int, num_steps: int, batch_size: int, first_step: int):
        super().__init__()
        self.num_epochs = num_epochs
        self.num_steps = num_steps
        self.batch_size = batch_size
        self._first_step = first_step
        self._evaluation_seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._start = self._last_line = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self._seconds_per_step = (now - self._start) / (batch + 1)
        self._training_end = now
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            step = self._first_step + batch + 1
            self._log(f", step {step} of {self.num_steps}: loss {logs['loss']:.4f}", self.num_steps - step)

    def on_epoch_end(self, epoch, logs=None):
        self._evaluation_seconds = time.perf_counter() - self._training_end
        self._first_step = 0
        top1, top5 = 100 * logs["val_top1"], 100 * logs["val_top5"]
        self._log(f": loss {logs['loss']:.4f}, top-1 {top1:.2f} %, top-5 {top5:.2f} %", 0)

    def _log(self, facts: str, steps_left: int) -> None:
        epochs_left = self.num_epochs - self._epoch - 1
        seconds = self._seconds_per_step * (steps_left + epochs_left * self.num_steps)
        seconds += self._evaluation_seconds * (epochs_left + (steps_left > 0))
        throughput = self.batch_size / self._seconds_per_step
        log.info(
            "epoch %d of %d%s, %s images/s, %s left",
            self._epoch + 1,
            self.num_epochs,
            facts,
            f"{throughput:,.0f}" if throughput >= 10 else f"{throughput:.2g}",
            duration(seconds),
        )


def duration(seconds: float) -> str:
    """Returns a time in words, in its largest unit and the next."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
