"""Shows where the time of a training step on TensorFlow goes: milliseconds of each kind of operation, over all threads.

python benchmarks/step_profile.py cct_7_3x1_32 --batch-size 64
"""

import argparse
import collections
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from model_race import BATCH_SIZES, create_keras_steps

from keras_cct.models.variants import variant_config

NUM_STEPS = 3


def main() -> None:
    """Profiles the steps and prints a table."""
    parser = argparse.ArgumentParser(description="Show where the time of a training step goes on TensorFlow.")
    parser.add_argument("model")
    parser.add_argument("--batch-size", type=int, help="images per step (default: that of the model race, or 32)")
    options = parser.parse_args()
    batch_size = options.batch_size or BATCH_SIZES.get(options.model, 32)
    config = variant_config(options.model)
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *config.input_shape)).astype("float32")
    _, _, train = create_keras_steps(options.model, images, random.integers(config.num_classes, size=batch_size))
    for _ in range(2):
        train()
    milliseconds = profile(train)
    print(f"{'operation':40}{'ms per step':>12}{'share':>8}")
    total = sum(milliseconds.values())
    for operation, value in milliseconds.most_common(25):
        print(f"{operation:40}{value:12.1f}{value / total:8.1%}")
    print(f"{'all':40}{total:12.1f}")


def profile(step: Callable) -> collections.Counter[str]:
    """Returns the milliseconds of each kind of operation in one step, summed over threads."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with contextlib.ExitStack() as stack:
            tf.profiler.experimental.start(folder)
            stack.callback(tf.profiler.experimental.stop)
            for _ in range(NUM_STEPS):
                step()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    milliseconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name:  # "name of the operation:kind of operation"
                    milliseconds[name.rpartition(":")[2]] += event.duration_ps / 1e9 / NUM_STEPS
    return milliseconds


if __name__ == "__main__":
    main()
