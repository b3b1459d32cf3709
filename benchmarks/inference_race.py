"""Compares the speed of exported models with PyTorch on the CPU, in images per second.

The reference is `vit_pytorch/cct.py`, an independent PyTorch implementation. All sides get the same weights and must
predict the same probabilities before they are timed, in alternating rounds. Each column of the table, a model and a
batch size, gets a new process.

* Ours are the artifacts of `keras_cct export` for OpenVINO, ONNX Runtime and, with single images, LiteRT, in float32;
  the fastest one counts. They take pixels and return probabilities, so normalization and softmax are included.
* PyTorch takes normalized images and returns logits: eager, and with `torch.compile`, in `torch.inference_mode`.
* On CPUs with bfloat16 instructions: OpenVINO in bfloat16, against compiled PyTorch with autocast to bfloat16.

    python benchmarks/inference_race.py --reference path/to/vit_pytorch/cct.py
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import computes_in_bfloat16, cpu_name
from model_race import Parser, images_per_second, machine_facts
from pytorch_reference import BATCH_SIZES, load_reference

from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.inference.artifacts import ARTIFACT_NAMES
from keras_cct.models.variants import variant_config

if TYPE_CHECKING:
    import keras
    import torch

FORMATS = ("openvino", "onnx", "litert")
FLOAT32, BFLOAT16 = "float32", "bfloat16"
TOLERANCES = {FLOAT32: 1e-4, BFLOAT16: 5e-2}
"""Maximum difference in a probability from eager PyTorch."""

COMPARISONS = {
    "float32, compiled PyTorch": (FORMATS, "torch.compile"),
    "float32, eager PyTorch": (FORMATS, "torch eager"),
    "bfloat16, compiled PyTorch with autocast": (("openvino bfloat16",), "torch.compile bfloat16"),
}
"""For each ratio, our sides, of which the fastest counts, and the side of PyTorch."""

WARMUP_CALLS = 3


def main() -> None:
    """Times all models and batch sizes and prints a table."""
    parser = Parser(description="Compare the inference speed of exported models with PyTorch, in images per second.")
    parser.add_argument("--reference", required=True, metavar="FILE", help="vit_pytorch/cct.py")
    parser.add_argument(
        "--models", nargs="+", metavar="MODEL", default=list(BATCH_SIZES), help="variants (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds per column (default 7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="minimum seconds per round and side (default 2)")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    options = parser.parse_args()
    try:
        _check_options(options)
        load_reference(options.reference)
    except InputError as error:
        parser.error(str(error))
    machine = {"cpu": cpu_name(), **machine_facts(multiprocessing.cpu_count()), "bfloat16": computes_in_bfloat16()}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    results = []
    for name in options.models:
        for batch_size in (BATCH_SIZES[name], 1):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                results.append(process.submit(race, name, batch_size, options).result())
    means = {
        title: statistics.geometric_mean([result["ratios"][title] for result in results])
        for title in results[0]["ratios"]
    }
    for title, mean in means.items():
        print(f"{mean:.2f} times {title} (geometric mean of {len(results)} columns)")
    if options.json:
        report = {"machine": machine, "results": results, "geometric_means": means}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def _check_options(options: argparse.Namespace) -> None:
    if not Path(options.reference).is_file():
        raise InputError(f"--reference {options.reference} is not a file. Use the path of vit_pytorch/cct.py.")
    for name in options.models:
        check_setting("--models", name, name in BATCH_SIZES, f"one or more of {', '.join(BATCH_SIZES)}")
    check_count("--rounds", options.rounds)
    check_setting("--seconds", options.seconds, 0 <= options.seconds <= 3600, "in [0, 3600]")
    if options.json and not Path(options.json).absolute().parent.is_dir():
        raise InputError(f"--json {options.json} cannot be written. Use a file in an existing folder.")


def race(name: str, batch_size: int, options: argparse.Namespace) -> dict:
    """Times all sides on one model and batch size, and prints and returns the results.

    Raises:
        SystemExit: A side predicts other probabilities than eager PyTorch.
    """
    sides = create_sides(name, batch_size, options.reference)
    probabilities = {side: call() for side, call in sides.items()}
    for side, values in probabilities.items():
        difference = float(np.abs(values - probabilities["torch eager"]).max())
        if not difference <= TOLERANCES[BFLOAT16 if BFLOAT16 in side else FLOAT32]:
            raise SystemExit(f"{name}: the probabilities of {side} differ by {difference:.1e}; not timed.")
    rounds = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, call in sides.items():
            for _ in range(WARMUP_CALLS):  # also ends the busy waiting of the previous side's threads
                call()
            rounds[side].append(images_per_second(call, batch_size, options.seconds))
    speeds = {side: statistics.median(values) for side, values in rounds.items()}
    print(f"\n{name}, batch {batch_size}, images/s (lowest .. highest round)")
    for side, speed in speeds.items():
        print(f"  {side:24}{speed:10.1f}  ({min(rounds[side]):.1f} .. {max(rounds[side]):.1f})", flush=True)
    ratios = {
        title: max(speeds[side] for side in ours if side in speeds) / speeds[reference]
        for title, (ours, reference) in COMPARISONS.items()
        if reference in speeds
    }
    for title, ratio in ratios.items():
        print(f"  {ratio:.2f} times {title}", flush=True)
    return {"model": name, "batch_size": batch_size, "speeds": speeds, "ratios": ratios, "rounds": rounds}


def create_sides(name: str, batch_size: int, reference: str) -> dict[str, Callable[[], np.ndarray]]:
    """Returns a function for each side that predicts the same images: ours by format, and those of PyTorch.

    The functions return probabilities of shape (batch, classes); the softmax of PyTorch's logits costs microseconds.
    """
    import keras

    import keras_cct

    keras.utils.set_random_seed(0)
    model = keras_cct.create_model(name)
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *model.input_shape[1:])).astype("float32")
    sides, formats = {}, [each for each in FORMATS if each != "litert" or batch_size == 1]
    with tempfile.TemporaryDirectory() as folder:
        keras_cct.export_model(model, Path(folder, "deploy"), formats)
        for runtime in formats:
            predictor = keras_cct.load_predictor(Path(folder, "deploy", ARTIFACT_NAMES[runtime]))
            sides[runtime] = lambda predictor=predictor: predictor.probabilities(images)
        if computes_in_bfloat16():
            fast = keras_cct.load_predictor(Path(folder, "deploy", "openvino"), compute_dtype=BFLOAT16)
            sides["openvino bfloat16"] = lambda: fast.probabilities(images)
    return sides | create_torch_sides(model, images, reference)


def create_torch_sides(model: "keras.Model", images: np.ndarray, reference: str) -> dict[str, Callable[[], np.ndarray]]:
    """Returns the functions of PyTorch: eager, compiled, and compiled with autocast if the CPU computes in bfloat16."""
    import torch

    import keras_cct

    config = variant_config(model.name)
    mean, std = (np.array(values, "float32") for values in config.normalization)
    normalized = torch.from_numpy(np.ascontiguousarray(((images / 255 - mean) / std).transpose(0, 3, 1, 2)))
    network = load_reference(reference)(config).eval()
    weights = keras_cct.export_torch_weights(model)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, strict=True)

    def predict(network: "torch.nn.Module", autocasts: bool = False) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocasts):
            return torch.softmax(network(normalized).float(), dim=1).numpy()

    compiled = torch.compile(network)
    sides = {"torch eager": lambda: predict(network), "torch.compile": lambda: predict(compiled)}
    if computes_in_bfloat16():
        autocast = torch.compile(network)
        sides["torch.compile bfloat16"] = lambda: predict(autocast, autocasts=True)
    return sides


if __name__ == "__main__":
    main()
