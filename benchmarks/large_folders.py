"""Measures how fast folders of many images open, and how much memory each image takes.

Writes 1,000 to 1,000,000 tiny PNG files into 100 to 1,000 class folders, and opens each set as `keras_cct train` does,
up to the first training batch, in new processes:

* start: a new run on images that were never read. Like all sets of up to 2 GiB, they are decoded once.
* resume: the same run again, with the split, the fingerprint and the index that the first process saved.
* large start, large resume: the same as if the set had more than 2 GiB, which is not decoded in advance.

    python benchmarks/large_folders.py --sizes 1000 10000
"""

import argparse
import functools
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, memory_bytes, write_results
from model_race import Parser

SIZES = (1_000, 10_000, 100_000, 1_000_000)
IMAGES_PER_CLASS, MIN_CLASSES, MAX_CLASSES = 100, 100, 1_000
HEIGHT, WIDTHS = 28, (28, 29)
"""Images of one size would be cached decoded, and the benchmark would measure their pixels."""
NUM_TEXTURES = 64

PROCESSES = {
    "start": ("run", ()),
    "resume": ("run", ()),
    "large start": ("large_run", ("--as-large",)),
    "large resume": ("large_run", ("--as-large",)),
}
"""Run folder and arguments of each process."""

PHASES = {
    "scan_images": "scan",
    "hold_out": "split",
    "read_split": "split",
    "drop_unreadable": "read images",
    "warn_about_duplicates": "duplicates",
}
"""Functions that open a folder, and the phases in which their time is reported."""
COLUMNS = ("scan", "split", "read images", "duplicates", "open", "fingerprint", "save", "first batch", "total")


def main() -> None:
    """Measures all sizes, prints a table and writes the results."""
    parser = Parser(description="Measure start-up time and memory of image folders by their number of files.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of files")
    parser.add_argument("--folder", metavar="DIR", help="where to write the files (default: the temporary folder)")
    parser.add_argument("--output", default=RESULTS, type=Path, metavar="DIR", help="folder of the results")
    parser.add_argument("--measure", nargs=2, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--as-large", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*map(Path, options.measure), options.as_large)))
        return
    if min(options.sizes) < MIN_CLASSES * 10:
        parser.error(f"--sizes must be at least {MIN_CLASSES * 10}, ten images per class, got {min(options.sizes)}.")
    print("".join(f"{name:>13}" for name in ("files", "process", *COLUMNS, "peak MB", "bytes/file")), flush=True)
    results = []
    for size in sorted(options.sizes):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write_images(Path(folder, "images"), size)
            for name, (run, arguments) in PROCESSES.items():
                found = run_process(Path(folder, "images"), Path(folder, run), arguments)
                results.append({"files": size, "process": name, **found})
                add_bytes_per_file(results)
                print_row(results[-1])
    write_results(options.output, "large_folders", facts() | {"results": results})


def facts() -> dict[str, Any]:
    """Returns what the results depend on."""
    import tensorflow as tf

    return {"cores": os.cpu_count(), "python": platform.python_version(), "tensorflow": tf.__version__}


def write_images(folder: Path, count: int) -> None:
    """Writes `count` gray PNG files with different pixels."""
    generator = np.random.default_rng(0)
    textures = generator.integers(0, 256, (NUM_TEXTURES, HEIGHT, max(WIDTHS)), "uint8")
    num_classes = min(max(count // IMAGES_PER_CLASS, MIN_CLASSES), MAX_CLASSES)
    for label in range(num_classes):
        class_folder = folder / f"class_{label:04}"
        class_folder.mkdir(parents=True)
        for number in range(label, count, num_classes):
            pixels = textures[number % NUM_TEXTURES, :, : WIDTHS[number // num_classes % len(WIDTHS)]].copy()
            pixels[0, :4] = np.frombuffer(struct.pack("<I", number), "uint8")
            with (class_folder / f"image_{number:07}.png").open("wb", buffering=0) as file:
                file.write(png(pixels))


def png(pixels: np.ndarray) -> bytes:
    """Returns a gray PNG file of a uint8 array, (height, width), in a tenth of the time that Pillow takes."""
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), "uint8")  # each row starts with the number of its filter, 0 for none
    rows[:, 1:] = pixels
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 0)),
        (b"IEND", b""),
    )
    encoded = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        encoded += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return encoded


def run_process(images: Path, run: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Returns what a new process measures."""
    command = [sys.executable, __file__, "--measure", str(images), str(run), *arguments]
    settings = {"KERAS_HOME": f"{run}_home", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | settings, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def measure(images: Path, run: Path, as_large: bool) -> dict[str, Any]:
    """Opens a folder and reads the first training batch; returns seconds per phase and memory in bytes.

    Args:
        images: The folder of images.
        run: Folder with what the start of a run saves; if it exists, the run is resumed.
        as_large: Whether to open the images as if they had more than 2 GiB.
    """
    from keras_cct.data import survey
    from keras_cct.data.augment.plan import Augmentation
    from keras_cct.data.fingerprint import DataFingerprint
    from keras_cct.data.pipeline import training_batches
    from keras_cct.data.sources import folder
    from keras_cct.data.sources.open import open_data
    from keras_cct.data.sources.split import write_split
    from keras_cct.data.survey_index import SurveyIndex
    from keras_cct.recipe.recipe import Recipe

    if as_large:
        survey.MAX_BYTES = 0
    seconds: dict[str, float] = dict.fromkeys(COLUMNS, 0.0)
    for name, phase in PHASES.items():
        setattr(folder, name, timed(getattr(folder, name), phase, seconds))
    recipe = Recipe("cct_2_3x2_32", "tiny", data_dir=str(images), img_size=32, batch_size=128)
    is_resumed, before = run.exists(), memory_bytes("VmRSS")
    start = time.perf_counter()
    split_file, index = run / "split.csv" if is_resumed else None, SurveyIndex.read(run / "index.npz")
    train, evaluation = timed(open_data, "open", seconds)(recipe, split_file, index)

    def compare_or_write() -> DataFingerprint:
        fingerprint = DataFingerprint.of(train, evaluation)
        if is_resumed and DataFingerprint.read(run / "data.npz").changes(fingerprint):
            raise SystemExit("the images have changed.")
        return fingerprint

    def save() -> None:
        run.mkdir(exist_ok=True)
        fingerprint.write(run / "data.npz")
        index.write(run / "index.npz")
        splits = (
            [(path, data.class_names[label]) for path, label in zip(data.names, data.labels, strict=True)]
            for data in (train, evaluation)
        )
        write_split(run / "split.csv", images, *splits)

    fingerprint = timed(compare_or_write, "fingerprint", seconds)()
    timed(save, "save", seconds)()
    plan = Augmentation.from_recipe(recipe).for_images((32, 32, 3), recipe.batch_size)
    timed(lambda: next(iter(training_batches(train, recipe, plan))), "first batch", seconds)()
    seconds["total"] = time.perf_counter() - start
    state = memory_bytes("VmRSS")
    return {"seconds": seconds, "bytes_before": before, "bytes_after": state, "peak_bytes": memory_bytes("VmHWM")}


def timed(function: Callable, phase: str, seconds: dict[str, float]) -> Callable:
    """Returns the function, which now adds the time of its calls to a phase."""

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            seconds[phase] += time.perf_counter() - start

    return call


def add_bytes_per_file(results: list[dict[str, Any]]) -> None:
    """Adds to the last result how its peak memory grows per file, compared with the smallest set."""
    last = results[-1]
    smallest = next(result for result in results if result["process"] == last["process"])
    growth, num_added = last["peak_bytes"] - smallest["peak_bytes"], last["files"] - smallest["files"]
    last["bytes_per_file"] = growth / num_added if num_added else None


def print_row(result: dict[str, Any]) -> None:
    """Prints one line of the table."""
    cells = [f"{result['files']:,}", result["process"], *(f"{result['seconds'][name]:.2f}" for name in COLUMNS)]
    per_file = result["bytes_per_file"]
    cells += [f"{result['peak_bytes'] / 1e6:.0f}", "" if per_file is None else f"{per_file:.0f}"]
    print("".join(f"{cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
