"""The devices and the precision of a training run."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cct.recipe.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How a run is distributed over the devices of one machine.

    Args:
        scope: Returns a context in which to create, compile and fit the model.
        num_devices: Number of devices; each processes one batch per step.
        device_type: "CPU", "GPU" or "TPU".
        description: Name of the strategy and its devices, for the log.
    """

    scope: Callable[[], contextlib.AbstractContextManager]
    num_devices: int
    device_type: str
    description: str


def local_distribution() -> Distribution:
    """Returns the distribution over the accelerators of this machine, or over its CPU if it has none.

    TensorFlow uses `tf.distribute.MirroredStrategy`, also for a single device; JAX uses
    `keras.distribution.DataParallel` if there are several devices; PyTorch uses one device.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _mirrored()
    _hide_accelerators_from_tensorflow()
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports] - optional

        device_type = "GPU" if torch.cuda.is_available() else "CPU"
        return Distribution(contextlib.nullcontext, 1, device_type, f"one {device_type} (PyTorch)")
    devices = keras.distribution.list_devices()
    device_type = devices[0].split(":")[0].upper()
    if len(devices) == 1:
        return Distribution(contextlib.nullcontext, 1, device_type, f"one {device_type} (JAX)")
    parallel = keras.distribution.DataParallel(devices=devices)
    return Distribution(parallel.scope, len(devices), device_type, f"DataParallel on {', '.join(devices)}")


def _mirrored() -> Distribution:
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    names = ", ".join(device.name.removeprefix("/device:") for device in devices)
    device_type = devices[0].device_type
    return Distribution(strategy.scope, strategy.num_replicas_in_sync, device_type, f"MirroredStrategy on {names}")


def _hide_accelerators_from_tensorflow() -> None:
    """Leaves the memory of the accelerators to the Keras backend; TensorFlow only runs `tf.data`."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def is_under_strategy() -> bool:
    """Returns whether a `tf.distribute` strategy is in scope."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.has_strategy()


def sum_over_replicas(gradients: Sequence[Any]) -> tuple[Sequence[Any], int]:
    """Sums gradients over the replicas of a `tf.distribute` strategy.

    Args:
        gradients: A tensor or None for each weight.

    Returns:
        The sums, and the number of replicas; the gradients and 1 outside of a replica, or with one replica.
    """
    if not is_under_strategy():
        return gradients, 1
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return gradients, 1
    sums = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, [each for each in gradients if each is not None]))
    return [None if each is None else next(sums) for each in gradients], replica.num_replicas_in_sync


CPU_INFO = Path("/proc/cpuinfo")
FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""CPU instructions that multiply bfloat16 matrices, as named by Linux."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """A dtype policy and why it was chosen.

    Args:
        policy: Keras dtype policy, "float32" or mixed precision; weights are always float32.
        reason: The reason, for the log; empty if the recipe does not enable `amp`.
    """

    policy: str
    reason: str


def choose_precision(recipe: Recipe, distribution: Distribution) -> Precision:
    """Returns mixed precision if the recipe enables it (`amp`) and the devices are faster with it.

    Accelerators compute in bfloat16, or in float16 with loss scaling if `amp_dtype` is "float16". CPUs compute in
    bfloat16 with TensorFlow only, and only if they have instructions for it.
    """
    if not recipe.amp:
        return Precision("float32", "")
    if distribution.device_type != "CPU":
        dtype = recipe.amp_dtype or "bfloat16"
        return Precision(f"mixed_{dtype}", f"amp: {dtype} on {distribution.device_type}")
    if recipe.amp_dtype == "float16":
        return Precision("float32", "amp: off, because float16 is slow on CPUs")
    if keras.backend.backend() != "tensorflow":
        return Precision("float32", "amp: off, because only TensorFlow is faster with it on CPUs")
    flags = CPU_INFO.read_text().split() if CPU_INFO.is_file() else []
    for flag in FAST_BFLOAT16:
        if flag in flags:
            return Precision("mixed_bfloat16", f"amp: bfloat16, because this CPU has {flag}")
    return Precision("float32", f"amp: off, because this CPU has none of {', '.join(FAST_BFLOAT16)}")
