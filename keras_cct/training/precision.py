"""Whether a run computes in half precision, and why."""

import dataclasses
from pathlib import Path

import keras

from keras_cct.recipe import Recipe
from keras_cct.training.distribution import Distribution

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
