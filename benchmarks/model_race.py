"""Compares the speed of our models with PyTorch reference implementations on the CPU, in images per second.

The reference of the vision models is `vit_pytorch/cct.py`, an independent implementation; that of the manifold models
is the code of the manifold paper, https://github.com/iliasprc/Compact-Transformers. Both sides get the same weights and
must return the same logits before they are timed, except Grassmannian models, for which the paper's code leaves the
signs of singular vectors open. Both sides are timed in alternating rounds, first inference, then training, as users run
them:

* Keras: `model.predict_on_batch`, and `model.train_on_batch` of a compiled model, on the current Keras backend;
* PyTorch: `model(images)` in `torch.inference_mode`, and forward, backward and optimizer step; eager, and the vision
  models also with `torch.compile`;
* on CPUs with bfloat16 instructions, vision models of Keras with the policy `mixed_bfloat16`, and eager PyTorch with
  autocast to bfloat16.

All train with AdamW and the dropout rates of the variant. All run in the same process, which does not change the speed
of any: the idle sides use no core. Each model gets a new process, because earlier models in a process change PyTorch's
inference speed, by up to a factor of 2 for the largest manifold models.

    python benchmarks/model_race.py --reference path/to/vit_pytorch/cct.py
    python benchmarks/model_race.py --reference path/to/Compact-Transformers
"""

import argparse
import importlib.util
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from machine import computes_in_bfloat16, cpu_name
from pytorch_reference import (
    BATCH_SIZES,
    LEARNING_RATE,
    MANIFOLD_BATCH_SIZES,
    REFERENCE_ADVICE,
    WEIGHT_DECAY,
    create_torch_steps,
    load_reference,
)

from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.models.variants import variant_config

LOGITS_TOLERANCES = {"keras bfloat16": 0.2, "torch autocast": 0.2}
"""Maximum difference in a logit from eager PyTorch; 1e-5 for the other sides."""
WARMUP_STEPS = 2
COMPARISONS = {
    "eager": ("keras", "torch eager"),
    "compiled": ("keras", "torch.compile"),
    "bfloat16, autocast": ("keras bfloat16", "torch autocast"),
}
"""The two sides of each ratio, by what it compares with."""

Steps = dict[str, Callable[[], Any]]


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Prints the message and exits with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> None:
    """Times all models and prints a table."""
    parser = Parser(description="Compare the speed of keras_cct with PyTorch, in images per second.")
    parser.add_argument(
        "--reference", required=True, metavar="PATH", help="vit_pytorch/cct.py, or the folder Compact-Transformers"
    )
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="variants (default: all of the reference)")
    parser.add_argument("--threads", type=int, default=_num_cores(), help="number of CPU cores (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per model and step (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="minimum seconds per round and side (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    options = parser.parse_args()
    batch_sizes = MANIFOLD_BATCH_SIZES if Path(options.reference).is_dir() else BATCH_SIZES
    options.models = options.models or list(batch_sizes)
    try:
        _check_options(options, batch_sizes)
        _use_cores(options.threads)
        load_reference(options.reference)
    except InputError as error:
        parser.error(str(error))
    machine = {"cpu": cpu_name(), **machine_facts(options.threads), "bfloat16": computes_in_bfloat16()}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    results = []
    for name in options.models:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            results += process.submit(race, name, batch_sizes[name], options).result()
    means = {}
    for step, title in itertools.product(("inference", "training"), COMPARISONS):
        if any(title in result["ratios"] for result in results):
            ratios = [result["ratios"][title] for result in results if result["step"] == step]
            means[f"{step}, {title}"] = mean = statistics.geometric_mean(ratios)
            print(f"{mean:.2f} times {title} in {step} (geometric mean of {len(ratios)} models)")
    if options.json:
        report = {"machine": machine, "results": results, "geometric_means": means}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def _check_options(options: argparse.Namespace, batch_sizes: dict[str, int]) -> None:
    if not Path(options.reference).exists():
        raise InputError(f"--reference {options.reference} does not exist. {REFERENCE_ADVICE}")
    for name in options.models:
        if name not in batch_sizes:
            raise InputError(f"unknown model {name!r} of the reference. Choose from {', '.join(batch_sizes)}.")
    if not 1 <= options.threads <= _num_cores():
        raise InputError(f"--threads must be in [1, {_num_cores()}], the available cores, got {options.threads}.")
    check_count("--rounds", options.rounds)
    check_setting("--seconds", options.seconds, 0 <= options.seconds <= 3600, "in [0, 3600]")
    if options.json and (Path(options.json).is_dir() or not Path(options.json).absolute().parent.is_dir()):
        raise InputError(f"--json {options.json} cannot be written. Use a file in an existing folder.")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _use_cores(num_cores: int) -> None:
    """Pins the process to cores before the frameworks load and size their thread pools, and hides GPUs."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if num_cores == _num_cores():
        return
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("--threads requires Linux, to pin the process to cores. Remove it to use all cores.")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_cores])


def machine_facts(num_threads: int) -> dict[str, str | int]:
    """Returns the hardware and software versions that the speeds depend on."""
    import keras
    import torch

    backend = keras.backend.backend()
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": num_threads,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{backend} {importlib.import_module(backend).__version__}",
        "reference": f"torch {torch.__version__}",
    }


def race(name: str, batch_size: int, options: argparse.Namespace) -> list[dict]:
    """Times inference and training of one variant, and prints and returns the results.

    Raises:
        SystemExit: The logits of a side differ from those of eager PyTorch.
    """
    import torch

    torch.set_num_threads(options.threads)
    create_reference = load_reference(options.reference)
    config = variant_config(name)
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *config.input_shape)).astype("float32")
    labels = random.integers(config.num_classes, size=batch_size)
    inference, training = {}, {}
    weights, inference["keras"], training["keras"] = create_keras_steps(name, images, labels)
    torch_sides = {"torch eager": {}}
    if not Path(options.reference).is_dir():
        torch_sides["torch.compile"] = {"compiles": True}
        if computes_in_bfloat16():
            _, inference["keras bfloat16"], training["keras bfloat16"] = create_keras_steps(
                name, images, labels, "mixed_bfloat16", weights
            )
            torch_sides["torch autocast"] = {"autocasts": True}
    for side, arguments in torch_sides.items():
        inference[side], training[side] = create_torch_steps(
            create_reference(config), weights, images, labels, **arguments
        )
    # The logits of Grassmannian models depend on the signs of singular vectors, which the paper's code leaves open.
    differences = {} if config.attention_type == "grassmann" else check_logits(name, inference)
    results = []
    for step, sides in (("inference", inference), ("training", training)):
        result = {"model": name, "batch_size": batch_size, "step": step, "logits_differences": differences}
        results.append(result | time_sides(sides, batch_size, options))
        speeds = ", ".join(f"{side} {speed:.1f}" for side, speed in results[-1]["speeds"].items())
        ratios = ", ".join(f"{title} {ratio:.2f}" for title, ratio in results[-1]["ratios"].items())
        print(f"{name}, {batch_size}, {step}: {speeds} images/s; ratios: {ratios}", flush=True)
    return results


def check_logits(name: str, inference: Steps) -> dict[str, float]:
    """Returns the largest difference of each side's logits from those of eager PyTorch.

    Raises:
        SystemExit: A side differs too much.
    """
    logits = {side: np.asarray(step(), "float32") for side, step in inference.items()}
    differences = {side: float(np.abs(values - logits["torch eager"]).max()) for side, values in logits.items()}
    for side, difference in differences.items():
        if not difference <= LOGITS_TOLERANCES.get(side, 1e-5):
            raise SystemExit(f"{name}: the logits of {side} differ by {difference:.1e}; not timed.")
    return differences


def time_sides(sides: Steps, batch_size: int, options: argparse.Namespace) -> dict:
    """Times steps in alternating rounds; returns the speeds of all rounds, their medians, and the ratios of those."""
    for step in sides.values():
        for _ in range(WARMUP_STEPS):
            step()
    rounds = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, step in sides.items():
            rounds[side].append(images_per_second(step, batch_size, options.seconds))
    speeds = {side: statistics.median(values) for side, values in rounds.items()}
    ratios = {title: speeds[ours] / speeds[theirs] for title, (ours, theirs) in COMPARISONS.items() if theirs in speeds}
    return {"speeds": speeds, "ratios": ratios, "rounds": rounds}


def create_keras_steps(
    name: str, images: np.ndarray, labels: np.ndarray, policy: str = "float32", weights: dict | None = None
) -> tuple[dict, Callable, Callable]:
    """Returns the weights under their PyTorch names, an inference step and a training step.

    Args:
        name: Variant.
        images: Float array of shape (batch, height, width, channels).
        labels: Integer array of shape (batch,).
        policy: Dtype policy of Keras.
        weights: State dict to load; random weights by default.
    """
    import keras

    import keras_cct

    keras.utils.set_random_seed(0)
    model = keras_cct.create_model(name, normalization=None, dtype=policy)
    if weights is not None:
        keras_cct.load_torch_weights(model, weights)
    model.compile(
        optimizer=keras_cct.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    weights = keras_cct.export_torch_weights(model)
    return weights, lambda: model.predict_on_batch(images), lambda: model.train_on_batch(images, labels)


def images_per_second(step: Callable, batch_size: int, min_seconds: float) -> float:
    """Repeats a step for at least `min_seconds` and returns its speed."""
    num_steps, start = 0, time.perf_counter()
    while True:
        step()
        num_steps += 1
        elapsed = time.perf_counter() - start
        if elapsed >= min_seconds:
            return num_steps * batch_size / elapsed


if __name__ == "__main__":
    main()
