"""Races our input pipeline against the same recipe in Pillow as timm runs it, in worker processes.

Both start from uint8 images in memory and end with float32 batches: RandomResizedCrop with random interpolation, flip,
rand-m9-mstd0.5-inc1, Mixup or CutMix on uint8, RandomErasing with noise. They take turns; the side that waits is idle.
Neither side decodes files, and neither sends its batches to another process.

    python benchmarks/input_pipeline.py
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pillow_pipeline import PillowRecipe, source_images, work

from keras_cct.errors import InputError

RECIPES = {
    32: PillowRecipe(32, 32, (0.8, 1.0), (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616), batch_size=128),
    224: PillowRecipe(256, 224, (0.08, 1.0), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), batch_size=128),
}
NUM_IMAGES = {32: 10_000, 224: 500}
WARMUP_BATCHES = 8
MEAN_TOLERANCE = 12.0


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message):
        """Prints the message and ends the program with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> None:
    """Runs the races and prints their table."""
    parser = Parser(description="Race our input pipeline against Pillow in worker processes, in images per second.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(RECIPES), metavar="SIZE", help="32, 224")
    parser.add_argument("--workers", type=int, default=2, help="Pillow's processes and our threads (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="least length of a turn (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write all rates to this file")
    options = parser.parse_args()
    try:
        _check_options(options)
    except InputError as error:
        parser.error(str(error))
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    machine = machine_facts(options.workers)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'size':>4}{'batch':>6}{'ours':>10}{'Pillow':>10}  ratio (lowest .. highest of a round)")
    results = [race(size, options.workers, options.rounds, options.seconds) for size in options.sizes]
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


def _check_options(options: argparse.Namespace) -> None:
    for size in options.sizes:
        if size not in RECIPES:
            raise InputError(f"unknown size {size}. Choose from {', '.join(map(str, RECIPES))}.")
    if not 1 <= options.workers <= os.cpu_count():
        raise InputError(f"--workers {options.workers} is not from 1 to {os.cpu_count()}, the cores there are.")
    if options.rounds < 1 or not 0 <= options.seconds <= 3600:
        raise InputError("--rounds takes a whole number of at least 1, and --seconds a number from 0 to 3600.")
    if options.json and (Path(options.json).is_dir() or not Path(options.json).absolute().parent.is_dir()):
        raise InputError(f"--json {options.json} cannot be written. Give a file in a folder that exists.")


def machine_facts(num_workers: int) -> dict[str, str | int]:
    """Returns what a reader needs to place the rates."""
    import PIL
    import tensorflow as tf

    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "workers": num_workers,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "pillow": PIL.__version__,
    }


def race(size: int, num_workers: int, rounds: int, seconds: float) -> dict:
    """Prints and returns the rates at one size.

    Raises:
        SystemExit: The two sides' pixels differ on average, so they cannot do the same.
    """
    from our_pipeline import our_batches

    recipe = RECIPES[size]
    batches = our_batches(recipe, source_images(NUM_IMAGES[size], recipe.source_size), num_workers)
    with pillow_workers(recipe, NUM_IMAGES[size], num_workers) as theirs:
        ours_mean, theirs_mean = _our_turn(batches, 0)[1], theirs(0)[1]
        if abs(ours_mean - theirs_mean) > MEAN_TOLERANCE:
            raise SystemExit(f"mean pixels of {ours_mean:.0f} and {theirs_mean:.0f}; there is nothing to race.")
        turns = [(_our_turn(batches, seconds)[0], theirs(seconds)[0]) for _ in range(rounds)]
    our_rate, their_rate = (statistics.median(rates) for rates in zip(*turns, strict=True))
    ratios = [our_turn / their_turn for our_turn, their_turn in turns]
    spread = f"{our_rate / their_rate:.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
    print(f"{size:4}{recipe.batch_size:6}{our_rate:10.0f}{their_rate:10.0f}  {spread}", flush=True)
    result = {"size": size, "batch_size": recipe.batch_size, "ours": our_rate, "pillow": their_rate}
    return result | {"ratio": our_rate / their_rate, "turns": turns}


def _our_turn(batches: Iterator, seconds: float) -> tuple[float, float]:
    """Returns our images per second and the mean of a batch."""
    for _ in range(WARMUP_BATCHES):
        images, _ = next(batches)  # made while the other side worked
    num_images, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or num_images == 0:
        images, _ = next(batches)
        num_images += images.shape[0]
    return num_images / (time.perf_counter() - start), float(np.mean(images))


@contextlib.contextmanager
def pillow_workers(recipe: PillowRecipe, num_images: int, num_workers: int) -> Iterator[Callable]:
    """Starts the processes, and gives a function of seconds that returns their images per second and a batch's mean."""
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs TensorFlow may hang
    pipes = [context.Pipe() for _ in range(num_workers)]
    processes = [
        context.Process(target=work, args=(far, recipe, num_images, seed), daemon=True)
        for seed, (_, far) in enumerate(pipes)
    ]
    for process in processes:
        process.start()

    def turn(seconds: float) -> tuple[float, float]:
        for near, _ in pipes:
            near.send(seconds)
        answers = [near.recv() for near, _ in pipes]
        return sum(count / elapsed for count, elapsed, _ in answers), statistics.mean(mean for *_, mean in answers)

    try:
        yield turn
    finally:
        for near, _ in pipes:
            near.send(None)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
