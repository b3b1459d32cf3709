"""Compares the time to open `.keras` files with that of `keras.models.load_model`, in alternating rounds.

python benchmarks/load_keras_files.py --rounds 9
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras

import keras_cct
from keras_cct.weights.keras_file import read_keras_file

VARIANTS = ("cct_2_3x2_32", "cct_7_3x1_32", "cct_14_7x2_224", "manifold_cct_7_3x2_32")


def main() -> int:
    """Prints a Markdown table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare the time to open .keras files with that of Keras.")
    parser.add_argument("--rounds", type=int, default=9, help="rounds per model (default 9)")
    rounds = parser.parse_args().rounds
    print(f"{platform.machine()}, {cpu_name()}, Keras {keras.__version__} on {keras.backend.backend()}\n")
    print("| model | keras_cct, s | Keras, s | ratio, median (lowest .. highest round) |\n|---|---|---|---|")
    for variant in VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "model.keras")
            keras_cct.create_model(variant).save(file)
            print(compare(variant, file, rounds), flush=True)
    return 0


def compare(variant: str, file: Path, rounds: int) -> str:
    """Returns the row of one model."""
    own, keras_own = (lambda: read_keras_file(file)), (lambda: keras.models.load_model(file, compile=False))
    for load in (own, keras_own):
        load()
    times = [(seconds(own), seconds(keras_own)) for _ in range(rounds)]
    ratios = [first / second for first, second in times]
    medians = " | ".join(f"{statistics.median(column):.3f}" for column in zip(*times, strict=True))
    return f"| {variant} | {medians} | {statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f}) |"


def seconds(load: Callable[[], object]) -> float:
    """Returns the CPU time of a call, which other programs on the machine hardly change."""
    start = time.process_time()
    load()
    return time.process_time() - start


def cpu_name() -> str:
    """Returns the name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    sys.exit(main())
