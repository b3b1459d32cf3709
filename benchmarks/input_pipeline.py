"""Compares the training input pipeline with the same recipe in Pillow, run as timm runs it, in worker processes.

Both sides start from decoded uint8 images in memory and end with float32 batches: RandomResizedCrop with random
interpolation, horizontal flip, rand-m9-mstd0.5-inc1, Mixup or CutMix on uint8, and RandomErasing with noise. Our side
is `training_batches` as `keras_cct train` runs it, with one thread per Pillow process. What differs between the sides:

* Neither side decodes files. At 224 pixels our side reads its images one by one, as it reads files.
* Pillow's batches stay in their processes; timm would also send them to the training process.
* Our side shuffles without replacement and also makes targets. Pillow draws random images and makes no targets.

The sides take turns. The side that waits is idle, except that ours first fills its buffers; those batches are not
counted.

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
from model_race import Parser
from pillow_pipeline import PillowRecipe, source_images, work

from keras_cct.errors import InputError

RECIPES = {
    32: PillowRecipe(32, 32, (0.8, 1.0), (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616), batch_size=128),
    224: PillowRecipe(256, 224, (0.08, 1.0), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), batch_size=128),
}
NUM_IMAGES = {32: 50_000, 224: 500}
IMAGES_PER_EPOCH = 2**17
"""Length of an epoch that is read one by one, close to ImageNet: an epoch of 500 images would measure its start-up."""

NUM_CLASSES = 10
WARMUP_BATCHES = {32: 32, 224: 8}
"""At least the batches that our side prefetches during the other side's turn, which are not counted."""

MEAN_TOLERANCE = 12.0


def main() -> None:
    """Runs the comparisons and prints a table."""
    parser = Parser(description="Compare the training input pipeline with Pillow in worker processes, in images/s.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(RECIPES), metavar="SIZE", help="32, 224")
    parser.add_argument("--workers", type=int, default=2, help="Pillow's processes and our threads (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="minimum length of a turn (default 3)")
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
    results = [compare(size, options.workers, options.rounds, options.seconds) for size in options.sizes]
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


def _check_options(options: argparse.Namespace) -> None:
    for size in options.sizes:
        if size not in RECIPES:
            raise InputError(f"unknown size {size}. Choose from {', '.join(map(str, RECIPES))}.")
    num_cores = os.cpu_count() or 1
    if not 1 <= options.workers <= num_cores:
        raise InputError(f"--workers must be from 1 to {num_cores}, the number of cores, got {options.workers}.")
    if options.rounds < 1:
        raise InputError(f"--rounds must be at least 1, got {options.rounds}.")
    if not 0 <= options.seconds <= 3600:
        raise InputError(f"--seconds must be from 0 to 3600, got {options.seconds}.")
    if options.json and (Path(options.json).is_dir() or not Path(options.json).absolute().parent.is_dir()):
        raise InputError(f"--json {options.json} cannot be written. Give a file in an existing folder.")


def machine_facts(num_workers: int) -> dict[str, str | int | float | None]:
    """Returns the hardware and the versions that the rates depend on."""
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


def our_batches(recipe: PillowRecipe, images: np.ndarray, num_threads: int) -> Iterator:
    """Returns an iterator over `training_batches` with the same augmentation, for more epochs than anyone waits for."""
    import tensorflow as tf

    from keras_cct.data.augment.plan import Augmentation
    from keras_cct.data.images import EncodedImages, LabeledImages
    from keras_cct.data.pipeline import training_batches
    from keras_cct.recipe.recipe import Recipe

    class UncompressedImages(EncodedImages):
        """Images in memory that are read one by one, as files are, but need no decoding."""

        def read(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(pixels, index % len(images)), tf.gather(self._labels, index)

    class_names = tuple(map(str, range(NUM_CLASSES)))
    if recipe.size == recipe.source_size:
        data = LabeledImages(images, np.arange(len(images)) % NUM_CLASSES, class_names)
    else:
        pixels = tf.constant(images)
        data = UncompressedImages((), np.arange(IMAGES_PER_EPOCH) % NUM_CLASSES, class_names)
    training_recipe = Recipe(
        "cct_7_3x1_32",
        "benchmark",
        mean=recipe.mean,
        std=recipe.std,
        scale=recipe.scale,
        aa="rand-m9-mstd0.5-inc1",
        mixup=0.8,
        cutmix=1.0,
        reprob=0.25,
        remode="pixel",
        epochs=10_000,
        workers=num_threads,
    )
    image_shape = (recipe.size, recipe.size, 3)
    plan = Augmentation.from_recipe(training_recipe).for_images(image_shape, recipe.batch_size)
    return iter(training_batches(data, training_recipe, plan))


def compare(size: int, num_workers: int, rounds: int, seconds: float) -> dict:
    """Prints and returns the rates at one size.

    Raises:
        SystemExit: The mean pixels of the two sides differ, so they do not run the same recipe.
    """
    recipe, num_warmup = RECIPES[size], WARMUP_BATCHES[size]
    batches = our_batches(recipe, source_images(NUM_IMAGES[size], recipe.source_size), num_workers)
    with pillow_workers(recipe, NUM_IMAGES[size], num_workers) as pillow_turn:
        our_mean, pillow_mean = our_turn(batches, num_warmup, 0)[1], pillow_turn(0)[1]
        if abs(our_mean - pillow_mean) > MEAN_TOLERANCE:
            raise SystemExit(f"the mean pixels are {our_mean:.0f} and {pillow_mean:.0f}: the recipes differ.")
        turns = [(our_turn(batches, num_warmup, seconds)[0], pillow_turn(seconds)[0]) for _ in range(rounds)]
    our_rate, pillow_rate = (statistics.median(rates) for rates in zip(*turns, strict=True))
    ratios = [ours / pillow for ours, pillow in turns]
    spread = f"{our_rate / pillow_rate:.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
    print(f"{size:4}{recipe.batch_size:6}{our_rate:10.0f}{pillow_rate:10.0f}  {spread}", flush=True)
    result = {"size": size, "batch_size": recipe.batch_size, "ours": our_rate, "pillow": pillow_rate}
    return result | {"ratio": our_rate / pillow_rate, "turns": turns}


def our_turn(batches: Iterator, num_warmup: int, seconds: float) -> tuple[float, float]:
    """Returns our images per second and the mean pixel of a batch."""
    for _ in range(num_warmup):
        next(batches)
    num_images, start = 0, time.perf_counter()
    while True:
        images, _ = next(batches)
        num_images += images.shape[0]
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return num_images / elapsed, float(np.mean(images))


@contextlib.contextmanager
def pillow_workers(recipe: PillowRecipe, num_images: int, num_workers: int) -> Iterator[Callable]:
    """Starts the processes. Yields a function of seconds that returns their images per second and the mean pixel."""
    context = multiprocessing.get_context("spawn")  # forking a process that runs TensorFlow can hang
    pipes = [context.Pipe() for _ in range(num_workers)]
    processes = [
        context.Process(target=work, args=(worker_end, recipe, num_images, seed), daemon=True)
        for seed, (_, worker_end) in enumerate(pipes)
    ]
    for process in processes:
        process.start()

    def turn(seconds: float) -> tuple[float, float]:
        for our_end, _ in pipes:
            our_end.send(seconds)
        results = [our_end.recv() for our_end, _ in pipes]
        return sum(count / elapsed for count, elapsed, _ in results), statistics.mean(mean for *_, mean in results)

    try:
        yield turn
    finally:
        for our_end, _ in pipes:
            our_end.send(None)
        for process in processes:
            process.join()


if __name__ == "__main__":
    main()
