"""Whether a run computes in half precision, and why."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras

from keras_cct.recipe.recipe import Recipe


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


PROCESSOR_FLAGS = Path("/proc/cpuinfo")
FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Instructions that multiply bfloat16 matrices, as Linux names them."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """A way to compute.

    Args:
        policy: Keras's dtype policy; weights are float32 in every one.
        reason: Why, for the log; empty where nothing was asked for.
    """

    policy: str
    reason: str


def choose_precision(recipe: Recipe, distribution: Distribution) -> Precision:
    """Returns half precision where the recipe asks for it and the devices are faster with it.

    Accelerators compute in bfloat16, or in float16 with a scaled loss where `amp_dtype` says so. A processor does under
    TensorFlow, if it has instructions for bfloat16.
    """
    if not recipe.amp:
        return Precision("float32", "")
    if distribution.device_kind != "CPU":
        dtype = recipe.amp_dtype or "bfloat16"
        return Precision(f"mixed_{dtype}", f"amp: {dtype} on {distribution.device_kind}")
    if recipe.amp_dtype == "float16":
        return Precision("float32", "amp: off, because float16 is slow on a processor")
    if keras.backend.backend() != "tensorflow":
        return Precision("float32", "amp: off, because on a processor only TensorFlow gains by it")
    flags = PROCESSOR_FLAGS.read_text().split() if PROCESSOR_FLAGS.is_file() else []
    for flag in FAST_BFLOAT16:
        if flag in flags:
            return Precision("mixed_bfloat16", f"amp: bfloat16, because this processor has {flag}")
    return Precision("float32", f"amp: off, because this processor has none of {', '.join(FAST_BFLOAT16)}")
