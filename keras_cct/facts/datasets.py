"""The published datasets: classes, channel statistics, and their names in other libraries."""

import dataclasses
from pathlib import Path

from keras_cct.errors import InputError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A published dataset.

    Args:
        num_classes: Number of classes.
        mean: Mean of each channel over the training images, for pixels in [0, 1].
        std: Standard deviation of each channel over the training images, for pixels in [0, 1].
        tfds_name: Name in TensorFlow Datasets.
        in_keras: Whether `keras.datasets` provides it.
    """

    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tfds_name: str
    in_keras: bool = False


DATASETS = {
    "cifar10": Dataset(10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), "cifar10", in_keras=True),
    "cifar100": Dataset(100, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), "cifar100", in_keras=True),
    "fashion_mnist": Dataset(10, (0.286,), (0.353,), "fashion_mnist", in_keras=True),
    "mnist": Dataset(10, (0.1307,), (0.3081,), "mnist", in_keras=True),
    "flowers102": Dataset(102, (0.4353, 0.3773, 0.2872), (0.2966, 0.2455, 0.2698), "oxford_flowers102"),
    "imagenet": Dataset(1000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "imagenet2012"),
}

SYNONYMS = {
    **{dataset.tfds_name: name for name, dataset in DATASETS.items() if dataset.tfds_name != name},
    "imagenet1k": "imagenet",
}
"""Other names of the datasets, each with its key in `DATASETS`."""


def standard_name(dataset: str) -> str:
    """Returns the key in `DATASETS` for a name or synonym; unknown names are returned unchanged.

    Example:
        >>> standard_name("oxford_flowers102")
        'flowers102'
    """
    return SYNONYMS.get(dataset, dataset)


def class_names(dataset: str) -> tuple[str, ...]:
    """Returns the class names of a dataset in the order of the logits, without duplicates.

    An ImageNet class is named by the first lemma of its synset. The classes 134 and 517, 264 and 474, and 638 and 639
    share theirs and therefore have other, distinct names.

    Args:
        dataset: A key of `DATASETS` or one of its synonyms, such as "oxford_flowers102", "imagenet1k", "imagenet2012".

    Raises:
        InputError: The dataset is unknown.

    Example:
        >>> class_names("cifar10")[:3]
        ('airplane', 'automobile', 'bird')
    """
    name = standard_name(dataset) if isinstance(dataset, str) else ""
    if name not in DATASETS:
        raise InputError(f"no class names for unknown dataset {dataset!r}. Choose one of {', '.join(DATASETS)}.")
    file = Path(__file__).with_name("class_names") / f"{name}.txt"
    return tuple(file.read_text(encoding="utf-8").splitlines())
