"""Compares the speed of our models on JAX with compiled PyTorch on one GPU, in images per second and FLOP utilization.

The references are those of `model_race.py`: `vit_pytorch/cct.py`, or the code of the manifold paper. Both sides get the
same weights and batches that fill the GPU, must return the same logits up to the rounding of bfloat16, and then take
turns, first in inference, then in training, with images that are already on the GPU:

* Keras on JAX with the policy `mixed_bfloat16`: a compiled call of the model, and a compiled `train_step`, which
  `fit` runs too;
* PyTorch with `torch.compile` and autocast to bfloat16: `model(images)`, and forward, backward and optimizer step. The
  paper's Grassmannian models run without autocast, in which their factorizations fail.

Both train with AdamW and the dropout rates of the variant, each side in a process of its own, and wait for the GPU at
the end of a round. Model FLOP utilization is the speed in floating-point operations of the model, two for each
multiply-accumulate operation and three times those of inference for a training step, divided by the dense bfloat16 peak
of the GPU. Factorizations and elementwise operations are not counted.

With `--epoch`, `keras_cct train --backend jax --amp` also trains each vision model for two epochs with the augmentation
of CIFAR-10, and the speed of the second one is reported: that of the step and the input pipeline together.

Only a GPU gives figures that mean something. `--device cpu` tries the script with tiny batches.

    python benchmarks/gpu_race.py --reference path/to/vit_pytorch/cct.py --epoch
    python benchmarks/gpu_race.py --reference path/to/Compact-Transformers
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu_name, gpu_name
from model_race import Parser
from pillow_pipeline import source_images
from pytorch_reference import (
    LEARNING_RATE,
    REFERENCE_ADVICE,
    WEIGHT_DECAY,
    create_torch_steps,
    load_reference,
)
from recipe_race import NUM_CLASSES, second_epoch_speed

from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.models.variants import variant_config

BATCH_SIZES = {"cct_2_3x2_32": 8192, "cct_7_3x1_32": 1024, "cct_14_7x2_224": 256}
MANIFOLD_BATCH_SIZES = {"manifold_cct_7_3x2_32": 1024, "manifold_cct_7_7x2_224": 256, "grassmanian_vit_6_4_32": 1024}
"""Batch sizes that fill a GPU and fit into 40 GiB twice, once for each side."""
TRIAL_BATCH_SIZE = 4

PEAK_TFLOPS = {
    r"H100 PCIe": 756,
    r"H100 80GB HBM3|H100 SXM": 989,
    r"H200": 989,
    r"A100": 312,
    r"L4": 121,
}
"""Dense bfloat16 peak of GPUs in TFLOP/s, by a pattern of their name; from NVIDIA's data sheets, without sparsity."""

LOGITS_TOLERANCE = 0.2
"""Maximum difference in a logit between bfloat16 and float32."""
WARMUP_STEPS = 3
MAX_EPOCH_BYTES = 2 * 2**30
SIDES = ("keras", "torch")
STEPS = ("inference", "training")


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a race, in its process.

    Args:
        steps: Functions that start the computation of a batch and may return before it ends, by name.
        wait: Waits for all computations to end.
        logits: Returns the logits of the batch in float32.
    """

    steps: dict[str, Callable[[], Any]]
    wait: Callable[[], Any]
    logits: Callable[[], np.ndarray]


_side: list[Side] = []
"""The side of this process, if it is a worker."""


def main() -> None:
    """Times all models and prints a table."""
    parser = Parser(description=__doc__.partition("\n\n")[0], epilog="Only a GPU gives figures that mean something.")
    parser.add_argument(
        "--reference", required=True, metavar="PATH", help="vit_pytorch/cct.py, or the folder Compact-Transformers"
    )
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="variants (default: all of the reference)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step (default: of the variant)")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="cpu: only to try the script")
    parser.add_argument("--peak-tflops", type=float, metavar="X", help="dense bfloat16 peak (default: of the GPU)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds per model and step (default 7)")
    parser.add_argument("--seconds", type=float, default=3.0, help="minimum seconds per round and side (default 3)")
    parser.add_argument("--epoch", action="store_true", help="also train two epochs with the input pipeline")
    parser.add_argument(
        "--epoch-images", type=int, default=50_000, metavar="N", help="images per epoch (default 50000)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    options = parser.parse_args()
    is_manifold = Path(options.reference).is_dir()
    batch_sizes = MANIFOLD_BATCH_SIZES if is_manifold else BATCH_SIZES
    options.models = options.models or list(batch_sizes)
    gpu = gpu_name() if options.device == "gpu" else None
    try:
        check_options(options, batch_sizes, gpu)
        load_reference(options.reference)
    except InputError as error:
        parser.error(str(error))
    os.environ |= environment(options.device)
    report: dict[str, Any] = {"machine": machine_facts(gpu), "peak_tflops": peak_tflops(options, gpu), "results": []}
    print(", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    for name in options.models:
        batch_size = options.batch_size or (batch_sizes[name] if gpu else TRIAL_BATCH_SIZE)
        report["results"] += race(name, batch_size, report["peak_tflops"], options)
        if options.epoch and not is_manifold:
            report["results"].append(train_epochs(name, batch_size, options))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def check_options(options: argparse.Namespace, batch_sizes: dict[str, int], gpu: str | None) -> None:
    """Raises InputError if an option cannot be used."""
    if not Path(options.reference).exists():
        raise InputError(f"--reference {options.reference} does not exist. {REFERENCE_ADVICE}")
    for name in options.models:
        if name not in batch_sizes:
            raise InputError(f"unknown model {name!r} of the reference. Choose from {', '.join(batch_sizes)}.")
    if options.device == "gpu" and gpu is None:
        raise InputError("nvidia-smi finds no GPU. Use a machine with one, or try the script with --device cpu.")
    if gpu is not None and peak_tflops(options, gpu) is None:
        raise InputError(
            f"the peak of {gpu} is unknown. Pass --peak-tflops, the dense bfloat16 peak of its data sheet."
        )
    for flag in ("rounds", "epoch_images", *(["batch_size"] if options.batch_size is not None else [])):
        check_count(f"--{flag.replace('_', '-')}", getattr(options, flag))
    check_setting("--seconds", options.seconds, 0 <= options.seconds <= 3600, "in [0, 3600]")
    if options.peak_tflops is not None:
        check_setting("--peak-tflops", options.peak_tflops, options.peak_tflops > 0, "above 0")
    if options.json:
        has_folder = Path(options.json).absolute().parent.is_dir()
        check_setting("--json", options.json, has_folder, "a file in an existing folder")


def peak_tflops(options: argparse.Namespace, gpu: str | None) -> float | None:
    """Returns the dense bfloat16 peak of the device in TFLOP/s, or None if it is unknown."""
    known = (peak for pattern, peak in PEAK_TFLOPS.items() if gpu and re.search(rf"\b({pattern})\b", gpu))
    return options.peak_tflops or next(known, None)


def environment(device: str) -> dict[str, str]:
    """Returns the environment of the workers, in which both sides see the first GPU, or none."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    settings = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": first}
    if device == "cpu":
        settings |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    # JAX would take three quarters of the memory when it starts.
    return settings | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def machine_facts(gpu: str | None) -> dict[str, str]:
    """Returns the device and the versions that the speeds depend on."""
    packages = {name: version(name) for name in ("keras", "jax", "torch")}
    return {"device": gpu or f"{cpu_name()} (a trial)", "cpu": cpu_name(), **packages}


def race(name: str, batch_size: int, peak: float | None, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Times inference and training of one variant, and prints and returns the results.

    Raises:
        SystemExit: The logits of the sides differ too much.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as keras_worker, ProcessPoolExecutor(1, context) as torch_worker:
        workers = dict(zip(SIDES, (keras_worker, torch_worker), strict=True))
        weights, macs, logits = keras_worker.submit(start_keras, name, batch_size).result()
        expected, torch_logits = torch_worker.submit(start_torch, name, batch_size, options, weights).result()
        both = zip(SIDES, (logits, torch_logits), strict=True)
        differences = {side: float(np.abs(values - expected).max()) for side, values in both}
        # The logits of Grassmannian models depend on the signs of singular vectors, which the paper's code leaves open.
        if not name.startswith("grassmanian") and not all(
            difference <= LOGITS_TOLERANCE for difference in differences.values()
        ):
            raise SystemExit(f"{name}: the logits differ from PyTorch's in float32 by {differences}; not timed.")
        results = []
        for step in STEPS:
            rounds: dict[str, list[float]] = {side: [] for side in SIDES}
            for _ in range(options.rounds):
                for side, worker in workers.items():
                    rounds[side].append(worker.submit(images_per_second, step, batch_size, options.seconds).result())
            speeds = {side: statistics.median(values) for side, values in rounds.items()}
            flops = 2 * macs * (3 if step == "training" else 1)
            use = {side: speed * flops / (1e12 * peak) if peak else None for side, speed in speeds.items()}
            results.append({"model": name, "batch_size": batch_size, "step": step, "flops_per_image": flops})
            results[-1] |= {"speeds": speeds, "ratio": speeds["keras"] / speeds["torch"], "utilization": use}
            results[-1] |= {"rounds": rounds, "logits_differences": differences}
            print_result(results[-1])
    return results


def print_result(result: dict[str, Any]) -> None:
    """Prints the speeds of both sides, their utilization and the ratio."""
    sides = [
        f"{side} {speed:.1f} images/s" + ("" if result["utilization"][side] is None else f" ({use:.1%} of the peak)")
        for side, speed in result["speeds"].items()
        for use in [result["utilization"][side]]
    ]
    head = f"{result['model']}, {result['batch_size']}, {result['step']}"
    print(f"{head}: {', '.join(sides)}; ratio {result['ratio']:.2f}", flush=True)


def make_batch(name: str, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns normalized images, (batch, height, width, channels), and labels; the same in both processes."""
    config, random = variant_config(name), np.random.default_rng(0)
    images = random.standard_normal((batch_size, *config.input_shape), "float32")
    return images, random.integers(config.num_classes, size=batch_size)


def start_keras(name: str, batch_size: int) -> tuple[dict[str, np.ndarray], int, np.ndarray]:
    """Compiles the steps of our side in this process, and returns the weights, the MACs of an image, and the logits."""
    import keras_cct  # isort: skip  # before Keras, as in the commands
    import jax
    import keras

    keras.utils.set_random_seed(0)
    model = keras_cct.create_model(name, normalization=None, dtype="mixed_bfloat16")
    model.compile(
        keras_cct.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.optimizer.build(model.trainable_variables)
    images, labels = (jax.device_put(array) for array in make_batch(name, batch_size))
    model.evaluate(np.asarray(images[:1]), np.asarray(labels[:1]), verbose=0)  # creates the variables of the metrics
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    # The training step may overwrite its arguments; the model keeps its own values, with which it infers.
    state = [[variable.value.copy() for variable in group] for group in (*groups, model.metrics_variables)]
    values = [[variable.value for variable in group] for group in groups[:2]]
    infer = jax.jit(lambda *values: model.stateless_call(*values, training=False)[0])
    step = jax.jit(model.train_step, donate_argnums=0)
    last: list[Any] = [None]

    def run_inference() -> None:
        last[0] = infer(*values, images)

    def train() -> None:
        nonlocal state
        last[0], state = step(state, (images, labels))

    steps = {"inference": run_inference, "training": train}
    side = Side(
        steps, lambda: jax.block_until_ready((last[0], state)), lambda: np.asarray(infer(*values, images), "float32")
    )
    return keras_cct.export_torch_weights(model), keras_cct.summarize(model).total.macs_with_attention, _start(side)


def start_torch(
    name: str, batch_size: int, options: argparse.Namespace, weights: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Compiles the steps of PyTorch's side in this process; returns the logits of the eager float32 model, and its."""
    import torch

    device = "cuda" if options.device == "gpu" else "cpu"
    create_reference, config = load_reference(options.reference), variant_config(name)
    images, labels = make_batch(name, batch_size)
    infer, _ = create_torch_steps(create_reference(config), weights, images, labels, device=device)
    expected = infer().cpu().numpy()
    autocasts = config.attention_type != "grassmann"
    infer, train = create_torch_steps(
        create_reference(config), weights, images, labels, compiles=True, autocasts=autocasts, device=device
    )
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    return expected, _start(Side({"inference": infer, "training": train}, wait, lambda: infer().cpu().numpy()))


def _start(side: Side) -> np.ndarray:
    """Makes a side that of this process, compiles its steps, and returns the logits of before it was trained."""
    _side[:] = [side]
    logits = side.logits()
    for step in side.steps.values():
        for _ in range(WARMUP_STEPS):
            step()
    side.wait()
    return logits


def images_per_second(step: str, batch_size: int, min_seconds: float) -> float:
    """Repeats a step of this process for about `min_seconds`, and returns its speed."""
    (side,) = _side
    num_steps, seconds = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(num_steps):
            side.steps[step]()
        side.wait()
        seconds = time.perf_counter() - start
        if seconds >= min_seconds / 2:
            return num_steps * batch_size / seconds
        num_steps = max(num_steps + 1, round(num_steps * min_seconds / max(seconds, 1e-3)))


def train_epochs(name: str, batch_size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains two epochs with the command, and prints and returns the speed of the second."""
    size = variant_config(name).input_shape[0]
    count = max(2 * batch_size, min(options.epoch_images, MAX_EPOCH_BYTES // (3 * size**2)))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        images, few = source_images(count, size), source_images(batch_size, size)
        np.savez(
            data,
            x_train=images,
            y_train=np.arange(count) % NUM_CLASSES,
            x_test=few,
            y_test=np.arange(batch_size) % NUM_CLASSES,
        )
        flags = ["--backend", "jax", "--amp", "--model", name, "--batch-size", str(batch_size)]
        flags += ["--devices", "cpu" if options.device == "cpu" else "1", "--workers", str(os.cpu_count() or 1)]
        speed = second_epoch_speed(data, Path(folder, "run"), flags)
    print(f"{name}, {batch_size}, epoch of {count} images with the input pipeline: {speed:.1f} images/s", flush=True)
    return {"model": name, "batch_size": batch_size, "step": "epoch", "images": count, "speeds": {"keras": speed}}


if __name__ == "__main__":
    main()
