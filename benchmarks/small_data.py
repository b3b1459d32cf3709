"""Compares ViT-Lite, CVT and CCT trained on few images, as the paper does on parts of CIFAR-10.

Trains ViT-Lite-2/4, CVT-2/4 and CCT-2/3x2 on the first 50 to 500 images per class of the bundled sample, three seeds
each, with the recipe of the sample. All train for the same number of steps: an epoch has 5,000 images, in which those
of a smaller set occur several times. Writes the accuracies after the last epoch to `results/small_data.json` and their
figure to `docs/images/small_data.png`; `tools/make_benchmark_tables.py` writes the table. 36 trainings take about an
hour on two CPU cores; after an interruption, the missing ones are run.

    python benchmarks/small_data.py
"""

import itertools
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from machine import RESULTS
from trainings import train_missing, train_once

from keras_cct.recipe.loading import load_recipe

MODELS = {"vit_2_4_32": "ViT-Lite-2/4", "cvt_2_4_32": "CVT-2/4", "cct_2_3x2_32": "CCT-2/3x2"}
NUM_IMAGES = (500, 1000, 2500, 5000)
SEEDS = (0, 1, 2)
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "small_data.png"


def main() -> None:
    """Runs the missing trainings and draws the figure."""
    trainings = [
        {"model": model, "images": images, "seed": seed}
        for seed, images, model in itertools.product(SEEDS, NUM_IMAGES, MODELS)
    ]
    train_missing("small_data", trainings, train)
    draw(FIGURE)


def train(model: str, images: int, seed: int) -> float:
    """Trains one model on a part of the sample and returns its top-1 accuracy on the 1,000 test images, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "part.npz")
        write_part(file, images)
        recipe = load_recipe("sample", model=model, dataset="part", data_dir=str(file), seed=seed)
        return train_once(recipe)


def write_part(file: Path, num_images: int) -> None:
    """Writes the first images of each class of the sample, repeated to its size, and the test images."""
    from keras_cct.data.sample import load_sample

    train, test = load_sample("train"), load_sample("test")
    num_classes = len(train.class_names)
    first = [np.flatnonzero(train.labels == label)[: num_images // num_classes] for label in range(num_classes)]
    indices = np.resize(np.concatenate(first), len(train.labels))
    np.savez(
        file,
        x_train=train.images[indices],
        y_train=train.labels[indices],
        x_test=test.images,
        y_test=test.labels,
        class_names=train.class_names,
    )


def draw(path: Path) -> None:
    """Draws mean and standard deviation of the committed accuracies by the number of images."""
    from matplotlib.figure import Figure

    results = json.loads((RESULTS / "small_data.json").read_text())["trainings"]
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for model, title in MODELS.items():
        groups = [
            [run["top1"] for run in results if (run["model"], run["images"]) == (model, images)]
            for images in NUM_IMAGES
        ]
        means, deviations = map(statistics.mean, groups), map(statistics.stdev, groups)
        axes.errorbar(NUM_IMAGES, list(means), list(deviations), label=title, marker="o", markersize=4, capsize=3)
    axes.set(xscale="log", xlabel="training images", ylabel="top-1 accuracy in %")
    axes.set_xticks(NUM_IMAGES, [f"{images:,}" for images in NUM_IMAGES], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title=f"mean and standard deviation of {len(SEEDS)} seeds")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
