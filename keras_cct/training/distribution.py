"""The devices of this machine that share a training run."""

import contextlib
import dataclasses
from collections.abc import Callable

import keras


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A way to train on several devices of one machine.

    Args:
        scope: Returns a context in which to make, compile and fit the model.
        num_devices: Devices that each take a batch per step.
        device_kind: "CPU", "GPU" or "TPU".
        description: What it is, for the log.
    """

    scope: Callable[[], contextlib.AbstractContextManager]
    num_devices: int
    device_kind: str
    description: str


def local_distribution() -> Distribution:
    """Returns how the backend trains on all accelerators of this machine, or on its processors if it has none.

    TensorFlow mirrors the model (`tf.distribute.MirroredStrategy`), also on a single device; JAX shards the batches
    (`keras.distribution.DataParallel`) when there are several devices; PyTorch uses its default device.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _mirrored()
    _hide_accelerators_from_tensorflow()
    if backend == "torch":
        import torch

        kind = "GPU" if torch.cuda.is_available() else "CPU"
        return Distribution(contextlib.nullcontext, 1, kind, f"one {kind} of PyTorch")
    devices = keras.distribution.list_devices()
    kind = devices[0].split(":")[0].upper()
    if len(devices) == 1:
        return Distribution(contextlib.nullcontext, 1, kind, f"one {kind} of JAX")
    parallel = keras.distribution.DataParallel(devices=devices)
    return Distribution(parallel.scope, len(devices), kind, f"DataParallel on {', '.join(devices)}")


def _mirrored() -> Distribution:
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    names = ", ".join(device.name.removeprefix("/device:") for device in devices)
    kind = devices[0].device_type
    return Distribution(strategy.scope, strategy.num_replicas_in_sync, kind, f"MirroredStrategy on {names}")


def _hide_accelerators_from_tensorflow() -> None:
    """Leaves the accelerators' memory to the backend; TensorFlow then only feeds it."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
