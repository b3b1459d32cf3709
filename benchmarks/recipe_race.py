"""Compares whole trainings: `keras_cct train` with the recipe of CIFAR-10, and the same in eager PyTorch with Pillow.

Both train the same model for two epochs on the same images in memory, with RandomResizedCrop, flips, RandAugment, Mixup
or CutMix, RandomErasing, AdamW and soft cross-entropy in float32, and evaluate after each epoch. PyTorch augments with
Pillow in two worker processes, as timm does. The sides take turns on the same cores. Two numbers of images per second:

* of the training steps of the second epoch;
* of the whole command: also start-up, compilation, checkpoints, and on our side SavedModel and report.

    python benchmarks/recipe_race.py --reference path/to/vit_pytorch/cct.py
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import cpu_name
from model_race import Parser, machine_facts
from pillow_pipeline import PillowRecipe, make_batch, source_images
from pytorch_reference import load_reference

from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.models.variants import variant_config

RECIPE = PillowRecipe(32, 32, (0.8, 1.0), (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616), batch_size=128)
NUM_EPOCHS, NUM_CLASSES, NUM_WORKERS = 2, 10, 2
SIDES, MODELS = ("keras_cct", "pytorch"), ("cct_2_3x2_32", "cct_7_3x1_32")
PROGRAM = Path(__file__).parents[1] / "train_keras.py"


def main() -> None:
    """Runs both sides in turns and prints their speeds."""
    parser = Parser(description="Compare whole trainings with PyTorch and Pillow, in images per second.")
    parser.add_argument("--reference", required=True, metavar="FILE", help="vit_pytorch/cct.py")
    parser.add_argument("--model", default="cct_2_3x2_32", metavar="MODEL", help="variant for 32 pixels")
    parser.add_argument("--images", type=int, default=10240, help="training images (default 10240)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        load_reference(options.reference)
        check_count("--rounds", options.rounds)
        check_setting("--images", options.images, options.images >= RECIPE.batch_size, f"at least {RECIPE.batch_size}")
        check_setting("--model", options.model, options.model in MODELS, f"one of {', '.join(MODELS)}")
        if options.json:
            has_folder = Path(options.json).absolute().parent.is_dir()
            check_setting("--json", options.json, has_folder, "a file in an existing folder")
    except InputError as error:
        parser.error(str(error))
    if options.side == "pytorch":
        print(json.dumps(train_pytorch(options)))
        return
    machine = {"cpu": cpu_name(), **machine_facts(os.cpu_count() or 1)}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    turns = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        train, test = (images_of(count) for count in (options.images, options.images // 5))
        np.savez(data, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
        for number in range(options.rounds):
            for side, run in (("keras_cct", run_keras), ("pytorch", run_pytorch)):
                start = time.perf_counter()
                second_epoch = run(options, data, Path(folder, str(number)))
                whole = NUM_EPOCHS * options.images / (time.perf_counter() - start)
                turns[side].append({"second epoch": second_epoch, "whole command": whole})
                print(f"{side:10}" + "".join(f"{name} {value:8.1f}  " for name, value in turns[side][-1].items()))
    speeds = {
        side: {name: statistics.median(turn[name] for turn in results) for name in results[0]}
        for side, results in turns.items()
    }
    ratios = {name: speed / speeds["pytorch"][name] for name, speed in speeds["keras_cct"].items()}
    for name, ratio in ratios.items():
        print(f"{ratio:.2f} times PyTorch: {name}")
    if options.json:
        report = {
            "machine": machine,
            "model": options.model,
            "images": options.images,
            "turns": turns,
            "speeds": speeds,
            "ratios": ratios,
        }
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def images_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 images of shape (count, 32, 32, 3) and labels."""
    return source_images(count, RECIPE.source_size), np.arange(count) % NUM_CLASSES


def run_keras(options: argparse.Namespace, data: Path, run: Path) -> float:
    """Trains with the command, and returns the images per second of the second epoch."""
    return second_epoch_speed(data, run, ["--model", options.model, "--no-amp"])


def second_epoch_speed(data: Path, run: Path, flags: list[str]) -> float:
    """Trains two epochs by the recipe of CIFAR-10, and returns the images per second of the second."""
    command = [sys.executable, str(PROGRAM), "-c", "cifar10", *flags]
    command += ["--epochs", str(NUM_EPOCHS), "--warmup-epochs", "1", "--cooldown-epochs", "0"]
    subprocess.run([*command, "--output", str(run), str(data)], check=True, capture_output=True)
    with (run / "summary.csv").open() as file:
        return float(list(csv.DictReader(file))[-1]["images_per_second"])


def run_pytorch(options: argparse.Namespace, *_: Path) -> float:
    """Trains with PyTorch in a new process, and returns the images per second of the second epoch."""
    command = [sys.executable, __file__, "--side", "pytorch", "--reference", options.reference]
    command += ["--model", options.model, "--images", str(options.images)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def train_pytorch(options: argparse.Namespace) -> float:
    """Trains for all epochs with batches of Pillow, and returns the images per second of the last one."""
    import torch

    config = variant_config(options.model)
    model = load_reference(options.reference)(config)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4, weight_decay=0.06)
    num_steps = options.images // RECIPE.batch_size
    batches = batches_of_workers(options.images, NUM_EPOCHS * num_steps)
    mean, std = (255 * torch.tensor(values).reshape(1, 3, 1, 1) for values in (RECIPE.mean, RECIPE.std))
    pixels, _ = images_of(options.images // 5)
    pixels = (torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() - mean) / std
    speed = 0.0
    for _ in range(NUM_EPOCHS):
        start = time.perf_counter()
        model.train()
        for _ in range(num_steps):
            images, targets = next(batches)
            images = (images.permute(0, 3, 1, 2) - mean) / std
            loss = torch.nn.functional.cross_entropy(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        speed = num_steps * RECIPE.batch_size / (time.perf_counter() - start)
        model.eval()
        with torch.inference_mode():
            for first in range(0, len(pixels), RECIPE.batch_size):
                model(pixels[first : first + RECIPE.batch_size]).argmax(dim=1)
    return speed


def batches_of_workers(num_images: int, num_batches: int) -> Iterator:
    """Returns an iterator over augmented images and soft targets from worker processes, as PyTorch tensors."""
    import torch

    class Batches(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return num_batches

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            random = np.random.default_rng(index)
            targets = random.dirichlet(np.ones(NUM_CLASSES), RECIPE.batch_size).astype("float32")
            return make_batch(pixels, RECIPE, random), targets

    pixels, _ = images_of(num_images)
    return iter(torch.utils.data.DataLoader(Batches(), batch_size=None, num_workers=NUM_WORKERS))


if __name__ == "__main__":
    main()
