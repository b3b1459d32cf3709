"""Measures memory and time of training steps on the CPU against image size, with and without activation checkpointing.

A step trains a batch with AdamW in float32, on the Keras backend of KERAS_BACKEND. The memory is the highest resident
memory of a process during its steps, minus what it had before the first one: activations, gradients, the optimizer's
state, and what compiling the step takes. Each measurement has its own process. With JAX, XLA_FLAGS contains the flag
without which checkpointing saves no memory on CPUs.

* cct_7_3x1_32 has a token for every 2x2 pixels: 256 at 32 pixels, 4,096 at 128. Its attention weights grow with the
  fourth power of the image size.
* cct_14_7x2_224 has a token for every 16x16 pixels: 1,024 at 512 pixels.

    python benchmarks/activation_memory.py
    python benchmarks/activation_memory.py --models cct_14_7x2_224 --sizes 224 512 --batch-size 8
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, cpu_name, memory_bytes, write_results
from model_race import Parser

from keras_cct.errors import InputError, check_count, check_setting

NUM_STEPS = 3
MODELS = {"cct_7_3x1_32": (1, (32, 64, 96, 128)), "cct_14_7x2_224": (1, (32, 128, 224, 512))}
"""Batch size and image sizes of each model; all need less than 6 GB."""
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.03


def main() -> None:
    """Measures all models and sizes, prints a table and writes the results."""
    parser = Parser(description="Measure memory and time of training steps against image size on the CPU.")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="variants (default: both)")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="PIXELS", help="image sizes (default: of the variant)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step (default: of the variant)")
    parser.add_argument("--output", default=RESULTS, type=Path, metavar="DIR", help="folder of the results")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoints", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.batch_size is not None:
            check_count("--batch-size", options.batch_size)
        for size in options.sizes or ():
            check_setting("--sizes", size, 16 <= size <= 4096, "in [16, 4096]")
    except InputError as error:
        parser.error(str(error))
    if options.measure:
        (name,), (size,) = options.models, options.sizes
        print(json.dumps(measure(name, size, options.batch_size, options.checkpoints)))
        return
    machine = facts()
    print(f"{cpu_name()}, {machine['backend']}")
    print(f"{'model':16}{'batch':>6}{'pixels':>7}{'tokens':>7}{'MB':>16}{'seconds':>15}")
    results = []
    for name in options.models:
        batch_size, sizes = MODELS[name]
        for size in options.sizes or sizes:
            pair = [run_process(name, size, options.batch_size or batch_size, flag) for flag in (False, True)]
            results += pair
            print_row(*pair)
    write_results(options.output, "activation_memory", machine | {"results": results})


def facts() -> dict[str, Any]:
    """Returns what the results depend on."""
    import keras

    backend = keras.backend.backend()
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{backend} {importlib.import_module(backend).__version__}",
    }


def run_process(name: str, size: int, batch_size: int, checkpoints: bool) -> dict[str, Any]:
    """Returns what a new process measures."""
    command = [sys.executable, __file__, "--measure", "--models", name, "--sizes", str(size)]
    command += ["--batch-size", str(batch_size), *(["--checkpoints"] if checkpoints else [])]
    from keras_cct.training.devices import MEMORY_FLAG

    settings = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    settings["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {MEMORY_FLAG}"
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | settings, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def measure(name: str, size: int, batch_size: int, checkpoints: bool) -> dict[str, Any]:
    """Trains a few steps, and returns peak memory and median time."""
    import keras_cct  # isort: skip  # before Keras, as in the commands
    import keras

    keras.utils.set_random_seed(0)
    model = keras_cct.create_model(name, input_shape=(size, size, 3), num_classes=10)
    blocks = [layer for layer in model.layers if isinstance(layer, keras_cct.EncoderBlock)]
    for block in blocks:
        block.checkpoints_activations = checkpoints
    model.compile(
        keras_cct.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",
    )
    random = np.random.default_rng(0)
    images = random.integers(256, size=(batch_size, size, size, 3)).astype("float32")
    labels = random.integers(10, size=batch_size)
    before = memory_bytes("VmRSS")
    model.train_on_batch(images, labels)
    seconds = []
    for _ in range(NUM_STEPS):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - start)
    return {
        "model": name,
        "batch_size": batch_size,
        "image_size": size,
        "tokens": blocks[0].output.shape[1],
        "checkpoint_activations": checkpoints,
        "peak_bytes": memory_bytes("VmHWM") - before,
        "seconds_per_step": statistics.median(seconds),
    }


def print_row(kept: dict[str, Any], recomputed: dict[str, Any]) -> None:
    """Prints memory and time without and with activation checkpointing."""
    cells = f"{kept['model']:16}{kept['batch_size']:6}{kept['image_size']:7}{kept['tokens']:7}"
    cells += "".join(f"{result['peak_bytes'] / 1e6:8.0f}" for result in (kept, recomputed))
    print(cells + "".join(f"{result['seconds_per_step']:8.2f}" for result in (kept, recomputed)), flush=True)


if __name__ == "__main__":
    main()
