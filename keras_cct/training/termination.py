"""SIGTERM, which schedulers send before they kill a process."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """The process received SIGTERM. Unhandled, it ends the process with exit code 143."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


class TerminationRequest:
    """Whether SIGTERM has been received."""

    is_received = False

    def check(self, step: int) -> bool:
        """Returns whether SIGTERM has been received, after a step, counted from the start of the run."""
        return self.is_received


class SharedTerminationRequest(TerminationRequest):
    """Whether any process of a cluster has received SIGTERM. All processes learn it after the same step."""

    def check(self, step: int) -> bool:
        from jax.experimental import multihost_utils  # pyright: ignore[reportMissingImports] - optional

        self.is_received = self.is_received or multihost_utils.reached_preemption_sync_point(step)
        return self.is_received


@contextlib.contextmanager
def raising_terminated() -> Iterator[None]:
    """Raises `Terminated` in the block on SIGTERM, so that temporary files are removed."""
    with _handling(_raise_terminated):
        yield


@contextlib.contextmanager
def deferring_termination() -> Iterator[TerminationRequest]:
    """Yields a request that the first SIGTERM sets; the block saves its work and raises `Terminated`.

    The second SIGTERM raises `Terminated` at once. A handler that the program has installed stays in place.
    """
    request = TerminationRequest()

    def note(*_arguments: object) -> None:
        if request.is_received:
            raise Terminated
        request.is_received = True

    with _handling(note):
        yield request


def _raise_terminated(*_arguments: object) -> None:
    raise Terminated


@contextlib.contextmanager
def _handling(handler: Callable[..., Any]) -> Iterator[None]:
    """Installs a handler of SIGTERM for the block, unless the program has its own or this is not the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    if not is_main or before not in (signal.SIG_DFL, _raise_terminated):
        yield
        return
    signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
