"""Mutations of good files, as Hypothesis draws them: flips, truncations, insertions and header lies."""

import itertools
import os
import resource
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from keras_cct.errors import MAX_MESSAGE_LENGTH, InputError

SECONDS = float(os.environ.get("KERAS_CCT_FUZZ_SECONDS", "1"))
SEED = int(os.environ.get("KERAS_CCT_FUZZ_SEED", "0"))
BATCH = 25
MAX_EXTRA_BYTES = 1e9
MAX_SECONDS_PER_FILE = 10

INTEGERS = (0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1)
"""Values that headers lie with."""


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Draws a file that differs from a good one in one to four places, most of them in its head or its tail."""
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        end = draw(st.sampled_from([min(size, 64), min(size, 1000), size]))
        offset = draw(st.integers(0, max(0, end - 1)))
        if draw(st.booleans()):
            offset = max(0, size - 1 - offset)
        kind = draw(st.sampled_from(["flip", "bytes", "integer", "cut", "remove", "repeat"]))
        if kind == "flip" and offset < size:
            flipped = content[offset] ^ (1 << draw(st.integers(0, 7)))
            content = content[:offset] + bytes([flipped]) + content[offset + 1 :]
        elif kind == "bytes":
            other = draw(st.binary(min_size=1, max_size=8))
            content = content[:offset] + other + content[offset + len(other) :]
        elif kind == "integer":
            code = draw(st.sampled_from(["<H", "<I", "<Q", ">H", ">I"]))
            value = draw(st.sampled_from(INTEGERS)) & (2 ** (8 * struct.calcsize(code)) - 1)
            other = struct.pack(code, value)
            content = content[:offset] + other + content[offset + len(other) :]
        elif kind == "cut":
            content = content[:offset]
        else:
            part = content[offset : offset + draw(st.integers(1, 100))]
            content = content[:offset] + (part * 2 if kind == "repeat" else b"") + content[offset + len(part) :]
    return content


def assert_read_or_refused(read, path: Path, content: bytes) -> None:
    """Checks that a reader of a file succeeds or raises one short InputError that names the file."""
    path.write_bytes(content)
    try:
        read(path)
    except InputError as error:
        message = str(error)
        assert path.name in message
        assert message.isprintable()
        assert len(message) <= MAX_MESSAGE_LENGTH


def fuzz(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Runs a check on drawn values, in batches with consecutive seeds, until the time is over.

    A failure names its batch: the same KERAS_CCT_FUZZ_SEED and one second reproduce it.
    """
    deadline = time.monotonic() + SECONDS
    peak_before = _peak_memory()
    for number in itertools.count():
        if time.monotonic() > deadline:
            break
        batch = seed(SEED + number)(
            settings(
                max_examples=BATCH,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(strategy)(_timed(check, f"seed {SEED + number}")))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # parsers warn about what they then refuse
            batch()
        assert _peak_memory() - peak_before < MAX_EXTRA_BYTES, f"seed {SEED + number}"
    print(f"{number * BATCH} cases from seed {SEED}")


def _timed(check: Callable[[Any], None], name: str) -> Callable[[Any], None]:
    def timed(value: Any) -> None:
        started = time.process_time()  # other programs on the machine do not count
        check(value)
        assert time.process_time() - started < MAX_SECONDS_PER_FILE, name

    return timed


def _peak_memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fuzz_reader(good: bytes, path: Path, read: Callable[[Path], object]) -> None:
    """Reads mutations of a good file."""
    assert_read_or_refused(read, path, good)
    fuzz(mutated(good), lambda content: assert_read_or_refused(read, path, content))
