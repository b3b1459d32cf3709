"""Callbacks that keep the processes of a cluster together, and end those that make no progress."""

import threading
import time
from collections.abc import Callable
from typing import Any, Self

import keras

from keras_cct.cluster.link import Link


class EpochBarrier(keras.callbacks.Callback):
    """Waits for all processes at the end of an epoch.

    Process 0 may write files for minutes, while a collective operation of the others could time out. It must come after
    the callbacks that write files.

    Args:
        link: The other processes.
    """

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.link.wait(f"end of epoch {epoch + 1}")


class Watchdog(keras.callbacks.Callback):
    """Calls a function if nothing happens for some time: no step, no evaluation step, no end of an epoch.

    Used as a context manager, it watches the block; as a callback, it notices what `fit` does in it.

    Args:
        timeout: Seconds.
        on_stall: The function; called in another thread, at most once.
    """

    def __init__(self, timeout: float, on_stall: Callable[[], None]) -> None:
        super().__init__()
        self.timeout = timeout
        self.on_stall = on_stall
        self._ended = threading.Event()
        self._last = time.monotonic()

    @classmethod
    def of(cls, link: Link) -> Self:
        """Returns a watchdog that ends all processes after the cluster's `stall_timeout`."""
        timeout = link.cluster.stall_timeout
        return cls(timeout, lambda: link.end_all(f"there was no step for {timeout:g} s (stall_timeout)."))

    def __enter__(self) -> Self:
        self._last = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()

    def note_progress(self) -> None:
        """Restarts the timer."""
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note_progress()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.note_progress()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.note_progress()

    def _watch(self) -> None:
        while not self._ended.wait(max(self._last + self.timeout - time.monotonic(), 0.05)):
            if time.monotonic() - self._last >= self.timeout:
                self.on_stall()
                return
