"""Profiles a training step on TensorFlow or JAX: milliseconds of each type of operation, summed over threads.

On JAX these are the operations that XLA has fused, by their names without numbers.

    python benchmarks/step_profile.py cct_7_3x1_32
    KERAS_BACKEND=jax python benchmarks/step_profile.py cct_7_3x1_32
"""

import collections
import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from model_race import Parser, create_keras_steps
from pytorch_reference import BATCH_SIZES

from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config

NUM_STEPS, NUM_LISTED = 3, 25


def main() -> None:
    """Profiles the steps and prints a table."""
    parser = Parser(description="Profile a training step: milliseconds of each type of operation.")
    parser.add_argument("model", help="variant; the batch size is that of the races, or 32")
    options = parser.parse_args()
    try:
        config = variant_config(options.model)
    except InputError as error:
        parser.error(str(error))
    batch_size = BATCH_SIZES.get(options.model, 32)
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *config.input_shape)).astype("float32")
    _, _, train = create_keras_steps(options.model, images, random.integers(config.num_classes, size=batch_size))
    for _ in range(2):
        train()
    milliseconds = profile(train)
    total = sum(milliseconds.values())
    print(f"{options.model}, batches of {batch_size}\n{'operation':36}{'ms per step':>12}{'share':>8}")
    for operation, value in milliseconds.most_common(NUM_LISTED):
        print(f"{operation:36}{value:12.1f}{value / total:8.1%}")
    print(f"{'all':36}{total:12.1f}")


def profile(step: Callable) -> collections.Counter[str]:
    """Returns the milliseconds of each type of operation in one step, summed over threads."""
    import keras
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    is_jax = keras.backend.backend() == "jax"
    with tempfile.TemporaryDirectory() as folder:
        with _trace_jax(folder) if is_jax else _trace_tensorflow(folder):
            for _ in range(NUM_STEPS):
                step()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    milliseconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                operation = _xla_operation(name) if is_jax else _operation(name)
                if operation:
                    milliseconds[operation] += event.duration_ps / 1e9 / NUM_STEPS
    return milliseconds


@contextlib.contextmanager
def _trace_tensorflow(folder: str) -> Iterator[None]:
    import tensorflow as tf

    tf.profiler.experimental.start(folder)
    try:
        yield
    finally:
        tf.profiler.experimental.stop()


def _trace_jax(folder: str) -> contextlib.AbstractContextManager:
    import jax

    return jax.profiler.trace(folder)


def _xla_operation(event: str) -> str:
    """Returns the name of an operation of XLA without numbers; empty for events of the host."""
    return re.sub(r"[._]\d+", "", event) if re.fullmatch(r"[a-z][\w.-]*", event) else ""


def _operation(event: str) -> str:
    """Returns the type of operation of an event; empty for events that are not operations."""
    if event == "CpuExecutable::ExecuteAsyncOnStream":
        return "functions compiled by XLA"
    name, _, operation = event.rpartition(":")  # "name of the operation:type of operation"
    return operation if name and not name.endswith(":") and operation.isidentifier() else ""


if __name__ == "__main__":
    main()
