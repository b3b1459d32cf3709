"""The bundled sample: a subset of Fashion-MNIST with 5,000 training and 1,000 test images."""

from pathlib import Path

import numpy as np

from keras_cct.data.images import LabeledImages
from keras_cct.errors import InputError
from keras_cct.facts.datasets import class_names

SPLITS = ("train", "test")


def load_sample(split: str) -> LabeledImages:
    """Returns one split of the sample: grayscale images of 28x28 pixels in ten classes of clothing.

    Args:
        split: "train" (500 images per class) or "test" (100 images per class).

    Raises:
        InputError: The split is unknown.
    """
    if not isinstance(split, str) or split not in SPLITS:
        raise InputError(f"unknown split {split!r} of the sample. Choose one of {', '.join(SPLITS)}.")
    with np.load(Path(__file__).with_name("fashion_mnist.npz")) as arrays:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    return LabeledImages(images[..., None], labels.astype("int64"), class_names("fashion_mnist"))
