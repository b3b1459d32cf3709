"""The devices and the precision of a training run."""

import contextlib
import dataclasses
import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe

if TYPE_CHECKING:
    from keras_cct.data.shard import Shard  # imports TensorFlow


log = logging.getLogger(__name__)

MAX_LISTED_DEVICES = 8


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How a run is distributed over devices.

    Args:
        scope: Returns a context in which to create, compile and fit the model.
        num_devices: Number of devices of all processes; each computes an equal part of every batch.
        device_type: "CPU", "GPU" or "TPU".
        description: Name of the strategy and its devices, for the log.
        shard: The part of this process in every batch, with JAX; None with other backends, which have one process.
    """

    scope: Callable[[], contextlib.AbstractContextManager]
    num_devices: int
    device_type: str
    description: str
    shard: "Shard | None" = None

    @property
    def is_first_process(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.shard is None or self.shard.index == 0

    @property
    def pads_evaluation(self) -> bool:
        """Whether evaluation batches must all have the same size, which the devices divide."""
        return self.shard is not None and self.num_devices > 1

    def check_batch_size(self, batch_size: int, mixes_images: bool) -> None:
        """Checks that a batch divides evenly among the devices and, if it is mixed, into pairs of images per process.

        Raises:
            InputError: The batch cannot be divided.
        """
        multiple = self.batch_multiple(mixes_images)
        if batch_size % multiple:
            reason = f", for {self.num_devices} devices{' and the pairs of Mixup and CutMix' * mixes_images}"
            raise InputError(f"images per step must be a multiple of {multiple}{reason}, got {batch_size}.")

    def batch_multiple(self, mixes_images: bool) -> int:
        """Returns the number of which the images per step must be a multiple."""
        num_processes = 1 if self.shard is None else self.shard.count
        return math.lcm(self.num_devices, 2 * num_processes) if mixes_images else self.num_devices


def local_distribution(devices: str = "all") -> Distribution:
    """Returns the distribution over the accelerators of all processes, or over their CPUs if they have none.

    TensorFlow uses `tf.distribute.MirroredStrategy`, also for a single device; JAX uses
    `keras.distribution.DataParallel` if there are several devices; PyTorch uses one device.

    Args:
        devices: "all"; "cpu", although there are accelerators; or the number of devices of this process, such as "2".

    Raises:
        InputError: The value is invalid, or there are fewer devices.
    """
    if devices not in ("all", "cpu") and not (devices.isascii() and devices.isdecimal() and int(devices) > 0):
        raise InputError(f"devices must be all, cpu or a number of at least 1, got {devices!r}.")
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _mirrored(devices)
    _hide_accelerators_from_tensorflow()
    return _on_torch(devices) if backend == "torch" else _on_jax(devices)


def _mirrored(devices: str) -> Distribution:
    import tensorflow as tf

    accelerators = [] if devices == "cpu" else tf.config.list_logical_devices("GPU")
    chosen = _first(accelerators or tf.config.list_logical_devices("CPU"), devices)
    strategy = tf.distribute.MirroredStrategy([device.name for device in chosen])
    names = ", ".join(device.name.removeprefix("/device:") for device in chosen)
    device_type = chosen[0].device_type
    return Distribution(strategy.scope, strategy.num_replicas_in_sync, device_type, f"MirroredStrategy on {names}")


def _on_torch(devices: str) -> Distribution:
    import torch  # pyright: ignore[reportMissingImports] - optional

    has_gpu = torch.cuda.is_available()
    (device_type,) = _first(["GPU" if has_gpu and devices != "cpu" else "CPU"], devices)
    scope = contextlib.nullcontext if device_type == "GPU" or not has_gpu else lambda: keras.device("cpu")
    return Distribution(scope, 1, device_type, f"one {device_type} (PyTorch)")


def _on_jax(devices: str) -> Distribution:
    import jax  # pyright: ignore[reportMissingImports] - optional

    from keras_cct.data.shard import Shard

    kind = "cpu" if devices == "cpu" else None
    by_process = [_first(jax.local_devices(index, kind), devices) for index in range(jax.process_count())]
    chosen = [device for own in by_process for device in own]
    shard = Shard(jax.process_index(), len(by_process))
    device_type = chosen[0].platform.upper()
    names = [f"{device.platform}:{device.id}" for device in chosen]
    if len(chosen) == 1:
        # JAX computes on its first device unless it is told otherwise.
        scope = contextlib.nullcontext if chosen[0] == jax.local_devices()[0] else lambda: keras.device(names[0])
        return Distribution(scope, 1, device_type, f"one {device_type} (JAX)", shard)
    numbers = {len(own) for own in by_process}
    if len(numbers) > 1:
        raise InputError(
            f"the processes have different numbers of devices: {sorted(numbers)}. Set --devices to the lowest."
        )
    parallel = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    if len(by_process) > 1:  # JAX numbers the devices of other processes from 2048, 4096, ...
        listed = f"{len(names)} {device_type}s of {len(by_process)} processes"
    else:
        listed = ", ".join(names) if len(names) <= MAX_LISTED_DEVICES else f"{len(names)} {device_type}s"
    return Distribution(parallel.scope, len(chosen), device_type, f"DataParallel on {listed}", shard)


def _first(present: Sequence[Any], devices: str) -> Sequence[Any]:
    """Returns the devices that the argument `devices` chooses of those of a process."""
    if not devices.isdecimal():
        return present
    if int(devices) > len(present):
        raise InputError(f"devices={devices}, but there are only {len(present)}. Choose at most {len(present)}.")
    return present[: int(devices)]


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


MEMORY_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
"""Makes XLA compute activations again only when the backward pass needs them, instead of as early as it can."""


def warn_of_useless_checkpointing(recipe: Recipe, distribution: Distribution) -> None:
    """Warns if `checkpoint_activations` would save no memory, with JAX on a CPU."""
    if not recipe.checkpoint_activations or keras.backend.backend() != "jax" or distribution.device_type != "CPU":
        return
    if MEMORY_FLAG not in os.environ.get("XLA_FLAGS", ""):
        log.warning(
            "checkpoint_activations saves no memory with JAX on a CPU unless XLA_FLAGS contains %s", MEMORY_FLAG
        )


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
