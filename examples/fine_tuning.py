"""Fine-tunes a model of five kinds of clothing to five others, in three ways, against training from scratch.

    python examples/fine_tuning.py [FOLDER]

About two minutes on two CPU cores. The runs stay in FOLDER, if it is given.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

import keras_cct
from keras_cct.data.images import LabeledImages

SCRATCH = {"from scratch": {"lr": 2e-3}}
WAYS = {
    "all weights": {"lr": 2e-3},
    "linear probe": {"lr": 2e-2, "freeze": True},
    "layer-wise decay": {"lr": 2e-3, "layer_decay": 0.7},
}


def five_classes(split: str, first: int, images_per_class: int) -> LabeledImages:
    """Returns the first images of five classes of the sample, with labels from 0."""
    data = keras_cct.load_sample(split)
    chosen = [np.flatnonzero(data.labels == label)[:images_per_class] for label in range(first, first + 5)]
    names = data.class_names[first : first + 5]
    return LabeledImages(data.images[np.concatenate(chosen)], data.labels[np.concatenate(chosen)] - first, names)


def train(folder: Path, name: str, first: int, images_per_class: int, **keys) -> tuple[Path, float]:
    """Trains on five classes and returns the model of the last epoch and its accuracy on them."""
    images, test = five_classes("train", first, images_per_class), five_classes("test", first, 100)
    arrays = {"x_train": images.images, "y_train": images.labels, "x_test": test.images, "y_test": test.labels}
    np.savez(folder / f"{name}.npz", class_names=test.class_names, **arrays)
    recipe = keras_cct.load_recipe("sample", dataset=name, data_dir=str(folder / f"{name}.npz"), **keys)
    model = keras_cct.train(recipe, folder / name).last_model
    return model, keras_cct.evaluate(keras_cct.load_predictor(model), test)["top1"]


def main(folder: Path) -> None:
    """Trains on the first five classes, fine-tunes to the others, and prints the accuracies."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("keras_cct").setLevel(logging.INFO)
    folder.mkdir(parents=True, exist_ok=True)
    known, _ = train(folder, "known classes", 0, 500, epochs=6, warmup_epochs=1)
    start = {"initial_checkpoint": str(known)}
    ways = SCRATCH | {name: keys | start for name, keys in WAYS.items()}
    budget = {"epochs": 3, "warmup_epochs": 0, "batch_size": 20}
    accuracies = {name: train(folder, name, 5, 40, **budget, **keys)[1] for name, keys in ways.items()}
    for name, top1 in accuracies.items():
        print(f"{name:18} {top1:6.2f} %")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(*sys.argv[1:] or [temporary]))
