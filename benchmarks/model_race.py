"""Races our models against PyTorch implementations on the processor's cores.

The vision models race against `vit_pytorch/cct.py`, an independent implementation; those on manifolds against the
folder of their original, https://github.com/iliasprc/Compact-Transformers. Both sides get the same weights and must
give the same logits before they race, except the Grassmannian models, whose original leaves signs open. Then they take
turns, first at inference, then at training, each as its users run it:

* ours: `model.predict_on_batch`, and `model.train_on_batch` of a compiled model, on the Keras backend in use;
* theirs: `model(images)` in `torch.inference_mode`, and forward, backward and optimizer step, without `torch.compile`.

Both train with AdamW and the variant's own dropout rates. Both live in one process: measured, that changes
the rate of neither, because a side that waits uses no core. Each model has a process of its own, as its users have:
what ran before in a process changes PyTorch's rate at inference, by half for the largest models on manifolds.

    python benchmarks/model_race.py --reference path/to/vit_pytorch/cct.py
    python benchmarks/model_race.py --reference path/to/Compact-Transformers
"""

import argparse
import contextlib
import importlib.util
import io
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from keras_cct.errors import InputError
from keras_cct.models.config import ModelConfig
from keras_cct.models.variants import variant_config

BATCH_SIZES = {"cct_2_3x2_32": 128, "cct_7_3x1_32": 64, "cct_14_7x2_224": 8}
MANIFOLD_BATCH_SIZES = {"manifold_cct_7_3x2_32": 32, "manifold_cct_7_7x2_224": 32, "grassmanian_vit_6_4_32": 32}
REFERENCE_ADVICE = "Give the path of vit_pytorch/cct.py, or of the folder of Compact-Transformers."
LOGITS_TOLERANCE = 1e-5
WARMUP_STEPS = 2
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.03


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message):
        """Prints the message and ends the program with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> None:
    """Runs the races and prints their table."""
    parser = Parser(description="Race keras_cct against PyTorch in images per second.")
    parser.add_argument(
        "--reference", required=True, metavar="PATH", help="vit_pytorch/cct.py, or the folder of Compact-Transformers"
    )
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="default: all the reference has")
    parser.add_argument("--threads", type=int, default=_num_cores(), help="cores to use (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="least length of a turn (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write all rates to this file")
    options = parser.parse_args()
    batch_sizes = MANIFOLD_BATCH_SIZES if Path(options.reference).is_dir() else BATCH_SIZES
    options.models = options.models or list(batch_sizes)
    try:
        _check_options(options, batch_sizes)
        _use_cores(options.threads)
        load_reference(options.reference)
    except InputError as error:
        parser.error(str(error))
    machine = machine_facts(options.threads)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'model':24}{'batch':>6}  {'step':10}{'ours':>10}{'theirs':>10}  ratio (lowest .. highest of a round)")
    results = []
    for name in options.models:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            results += process.submit(race, name, batch_sizes[name], options).result()
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


def _check_options(options: argparse.Namespace, batch_sizes: dict[str, int]) -> None:
    if not Path(options.reference).exists():
        raise InputError(f"--reference {options.reference} does not exist. {REFERENCE_ADVICE}")
    for name in options.models:
        if name not in batch_sizes:
            raise InputError(f"the reference has no model {name!r}. Choose from {', '.join(batch_sizes)}.")
    if not 1 <= options.threads <= _num_cores():
        raise InputError(f"--threads {options.threads} is not from 1 to {_num_cores()}, the cores there are.")
    if options.rounds < 1 or not 0 <= options.seconds <= 3600:
        raise InputError("--rounds takes a whole number of at least 1, and --seconds a number from 0 to 3600.")
    if options.json and (Path(options.json).is_dir() or not Path(options.json).absolute().parent.is_dir()):
        raise InputError(f"--json {options.json} cannot be written. Give a file in a folder that exists.")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _use_cores(num_cores: int) -> None:
    """Binds the process to cores before the frameworks load, which size their thread pools by them; hides GPUs."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if num_cores == _num_cores():
        return
    if not hasattr(os, "sched_setaffinity"):
        raise InputError("--threads needs Linux, which can bind a process to cores. Leave it out to use them all.")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_cores])


def load_reference(path: str) -> Callable:
    """Returns a function from the config of one of our models to the reference's PyTorch model.

    Args:
        path: The file `cct.py` of vit_pytorch, or the folder of Compact-Transformers.

    Raises:
        InputError: There is no such file or folder, it is another one, or a package it needs is not installed.
    """
    if Path(path).is_dir():
        return load_original(Path(path))
    if not path.endswith(".py"):
        raise InputError(f"{path!r} is not a Python file. {REFERENCE_ADVICE}")
    spec = importlib.util.spec_from_file_location("vit_pytorch_cct", path)
    reference = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(reference)
    except ImportError as error:
        raise InputError(f"{path!r} cannot be imported: {error}. Install: pip install torch einops") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{path!r} is not a Python file: {error}. {REFERENCE_ADVICE}") from error
    if not all(hasattr(reference, _reference_function(name)) for name in BATCH_SIZES):
        raise InputError(f"{path!r} has no functions cct_2, cct_7 and cct_14. {REFERENCE_ADVICE}")
    return lambda config: getattr(reference, _reference_function(config.name))(
        img_size=config.input_shape[:2],
        kernel_size=config.kernel_size,
        n_conv_layers=config.num_conv_layers,
        num_classes=config.num_classes,
        positional_embedding=config.position_embedding,
    )


def load_original(folder: Path) -> Callable:
    """Returns a function from the config of one of our models on manifolds to the model of Compact-Transformers.

    Raises:
        InputError: The folder is another one, or a package it needs is not installed.
    """
    # The packages' own start imports every model it has, with packages that these need not.
    for name in ("src", "src.utils"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    try:
        modules = {name: importlib.import_module(f"src.{_reference_function(name)}") for name in MANIFOLD_BATCH_SIZES}
    except ImportError as error:
        raise InputError(
            f"{str(folder)!r} cannot be imported: {error}. Give the folder of Compact-Transformers; "
            f"install: pip install torch einops"
        ) from error

    def make_model(config: ModelConfig):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a banner
            function = getattr(modules[config.name], config.name)
            return function() if config.attention_type == "grassmann" else function(attention_type="all")

    return make_model


def _reference_function(name: str) -> str:
    return "_".join(name.split("_")[:2])  # cct_7_3x1_32 -> cct_7, manifold_cct_7_3x2_32 -> manifold_cct


def machine_facts(num_threads: int) -> dict[str, str | int]:
    """Returns what a reader needs to place the rates."""
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
        "theirs": f"torch {torch.__version__}",
    }


def race(name: str, batch_size: int, options: argparse.Namespace) -> list[dict]:
    """Prints and returns the rates of one variant at inference and at training.

    Raises:
        SystemExit: The two models do not compute the same.
    """
    import torch

    torch.set_num_threads(options.threads)
    reference = load_reference(options.reference)
    config = variant_config(name)
    random = np.random.default_rng(0)
    images = random.normal(size=(batch_size, *config.input_shape)).astype("float32")
    labels = random.integers(config.num_classes, size=batch_size)
    weights, *our_steps = our_side(name, images, labels)
    their_steps = their_side(reference, weights, config, images, labels)
    difference = float(np.abs(our_steps[0]() - their_steps[0]()).max())
    # The signs of singular vectors, which the original leaves open, show in the logits of Grassmannian models.
    tolerance = sys.float_info.max if config.attention_type == "grassmann" else LOGITS_TOLERANCE
    if not difference <= tolerance:
        raise SystemExit(f"{name}: the logits of the two models differ by {difference:.1e}; there is nothing to race.")
    results = []
    for step, ours, theirs in zip(("inference", "training"), our_steps, their_steps, strict=True):
        for _ in range(WARMUP_STEPS):
            ours(), theirs()
        turns = [_turn(ours, theirs, batch_size, options.seconds) for _ in range(options.rounds)]
        our_rate, their_rate = (statistics.median(rates) for rates in zip(*turns, strict=True))
        ratios = [our_turn / their_turn for our_turn, their_turn in turns]
        spread = f"{our_rate / their_rate:.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
        print(f"{name:24}{batch_size:6}  {step:10}{our_rate:10.1f}{their_rate:10.1f}  {spread}", flush=True)
        result = {"model": name, "batch_size": batch_size, "step": step, "logits_difference": difference}
        result |= {"ours": our_rate, "theirs": their_rate, "ratio": our_rate / their_rate, "turns": turns}
        results.append(result)
    return results


def our_side(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[dict, Callable, Callable]:
    """Returns the weights as PyTorch names them, and a step of inference and one of training."""
    import keras

    import keras_cct

    keras.utils.set_random_seed(0)
    model = keras_cct.create_model(name, normalization=None)
    model.compile(
        optimizer=keras_cct.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    weights = keras_cct.export_torch_weights(model)
    return weights, lambda: model.predict_on_batch(images), lambda: model.train_on_batch(images, labels)


def their_side(
    reference: Callable, weights: dict, config: ModelConfig, images: np.ndarray, labels: np.ndarray
) -> tuple[Callable, Callable]:
    """Returns a step of inference and one of training, from the given weights."""
    import torch

    model = reference(config)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, strict=True)
    images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))  # (batch, channels, height, width)
    labels = torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def infer() -> np.ndarray:
        model.eval()
        with torch.inference_mode():
            return model(images).numpy()

    def train() -> float:
        model.train()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return infer, train


def _turn(ours: Callable, theirs: Callable, batch_size: int, seconds: float) -> tuple[float, float]:
    return _rate(ours, batch_size, seconds), _rate(theirs, batch_size, seconds)


def _rate(step: Callable, batch_size: int, seconds: float) -> float:
    """Returns images per second; the turn ends with the step that passes `seconds`."""
    num_steps, start = 0, time.perf_counter()
    while True:
        step()
        num_steps += 1
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return num_steps * batch_size / elapsed


if __name__ == "__main__":
    main()
