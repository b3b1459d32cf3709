"""Measures latency, throughput and memory of an artifact in a separate process."""

import dataclasses
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from os import PathLike
from pathlib import Path

import numpy as np

from keras_cct.inference.predictor import Predictor
from keras_cct.inference.predictors import open_artifact

MIN_CALLS = 5
_WARMUP_CALLS = 2
_PROCESS_STATUS = Path("/proc/self/status")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Speed and memory of an artifact.

    Args:
        latency_ms: Median time in milliseconds for one image.
        latency_p95_ms: 95th percentile of the time in milliseconds for one image.
        throughput: Images per second for each batch size, from the median time of a batch.
        memory_mb: Peak memory of the process in megabytes, including Python and the runtime.
    """

    latency_ms: float
    latency_p95_ms: float
    throughput: dict[int, float]
    memory_mb: float


def measure_artifact(
    path: str | PathLike,
    batch_sizes: tuple[int, ...],
    seconds: float,
    compute_dtype: str = "float32",
    *,
    trust: bool = False,
) -> Measurement:
    """Measures an artifact, in a new process that loads only its runtime.

    Args:
        path: A run folder, `.keras` file or exported artifact, as for `open_artifact`.
        batch_sizes: Batch sizes for the throughput.
        seconds: Minimum time for each batch size.
        compute_dtype: Precision of the computation.
        trust: Whether a `.keras` file may contain other layers than those of this package, and so run any code.

    Raises:
        InputError: The artifact cannot be opened.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, path, batch_sizes, seconds, compute_dtype, trust).result()


def _measure(
    path: str | PathLike, batch_sizes: tuple[int, ...], seconds: float, compute_dtype: str, trust: bool
) -> Measurement:
    predictor = open_artifact(path, compute_dtype, trust=trust)
    latencies = _time_calls(predictor, 1, seconds)
    throughput = {size: size / float(np.median(_time_calls(predictor, size, seconds))) for size in batch_sizes}
    return Measurement(
        latency_ms=1e3 * float(np.median(latencies)),
        latency_p95_ms=1e3 * float(np.percentile(latencies, 95)),
        throughput=throughput,
        memory_mb=_peak_memory() / 1e6,
    )


def _time_calls(predictor: Predictor, batch_size: int, seconds: float) -> list[float]:
    shape = (batch_size, *predictor.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype="uint8").astype("float32")
    for _ in range(_WARMUP_CALLS):
        predictor.probabilities(images)
    times = []
    while len(times) < MIN_CALLS or sum(times) < seconds:
        start = time.perf_counter()
        predictor.probabilities(images)
        times.append(time.perf_counter() - start)
    return times


def _peak_memory() -> int:
    """Returns the peak memory of this process in bytes."""
    if _PROCESS_STATUS.exists():  # on Linux, where `ru_maxrss` includes the peak of the parent process
        (line,) = (line for line in _PROCESS_STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
