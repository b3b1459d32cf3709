"""Compares three ways of fine-tuning with training from scratch.

    python examples/fine_tuning.py [FOLDER]

A model is pretrained on five classes of the bundled sample and fine-tuned on few images of the other five. Takes about
two minutes on two CPU cores. The runs are kept in FOLDER if it is given.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

import keras_cct
from keras_cct.data.images import LabeledImages

FROM_SCRATCH = {"from scratch": {"lr": 2e-3}}
FINE_TUNING = {
    "all weights": {"lr": 2e-3},
    "linear probe": {"lr": 2e-2, "freeze": True},
    "layer-wise decay": {"lr": 2e-3, "layer_decay": 0.7},
}


def load_five_classes(split: str, first_class: int, images_per_class: int) -> LabeledImages:
    """Returns the first images of five consecutive classes of the sample, with labels from 0."""
    data = keras_cct.load_sample(split)
    classes = range(first_class, first_class + 5)
    indices = np.concatenate([np.flatnonzero(data.labels == label)[:images_per_class] for label in classes])
    names = data.class_names[first_class : first_class + 5]
    return LabeledImages(data.images[indices], data.labels[indices] - first_class, names)


def train(folder: Path, name: str, first_class: int, images_per_class: int, **keys: object) -> tuple[Path, float]:
    """Trains on five classes.

    Args:
        folder: Folder for the images and the run.
        name: Name of the run.
        first_class: Label of the first of the five classes.
        images_per_class: Number of training images per class.
        **keys: Recipe keys to replace.

    Returns:
        The path of the model after the last epoch, and its top-1 accuracy on the test images of these classes.
    """
    images = load_five_classes("train", first_class, images_per_class)
    test = load_five_classes("test", first_class, 100)
    arrays = {"x_train": images.images, "y_train": images.labels, "x_test": test.images, "y_test": test.labels}
    np.savez(folder / f"{name}.npz", class_names=test.class_names, **arrays)
    recipe = keras_cct.load_recipe("sample", dataset=name, data_dir=str(folder / f"{name}.npz"), **keys)
    model = keras_cct.train(recipe, folder / name).last_model
    return model, keras_cct.evaluate(keras_cct.load_predictor(model), test).top1


def main(folder: Path) -> None:
    """Trains on the first five classes, fine-tunes on the other five, and prints the test accuracies."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("keras_cct").setLevel(logging.INFO)
    folder.mkdir(parents=True, exist_ok=True)
    pretrained, _ = train(folder, "pretrained", 0, 500, epochs=6, warmup_epochs=1)
    checkpoint = {"initial_checkpoint": str(pretrained)}
    methods = FROM_SCRATCH | {name: keys | checkpoint for name, keys in FINE_TUNING.items()}
    budget = {"epochs": 3, "warmup_epochs": 0, "batch_size": 20}
    accuracies = {name: train(folder, name, 5, 40, **budget, **keys)[1] for name, keys in methods.items()}
    for name, top1 in accuracies.items():
        print(f"{name:18} {top1:6.2f} %")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(*sys.argv[1:] or [temporary]))
