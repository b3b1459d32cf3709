"""Facts about the published datasets: classes, statistics, and the names that other libraries use for them."""

import dataclasses
from pathlib import Path

from keras_cct.errors import InputError


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One published dataset.

    Args:
        num_classes: Number of classes.
        mean: Mean of each channel in [0, 1].
        std: Standard deviation of each channel in [0, 1].
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


def standard_name(dataset: str) -> str:
    """Returns the name used here for a dataset; unknown names are returned unchanged.

    Example:
        >>> standard_name("oxford_flowers102")
        'flowers102'
    """
    return SYNONYMS.get(dataset, dataset)


def class_names(dataset: str) -> tuple[str, ...]:
    """Returns the class names of a dataset in the order of the logits; all are different.

    ImageNet's names are the first of each synset; the synsets 134 and 517, 264 and 474, 638 and 639 share theirs and
    get a longer, unique name.

    Args:
        dataset: "cifar10", "cifar100", "fashion_mnist", "flowers102" (or "oxford_flowers102") or "imagenet" (or
            "imagenet1k", "imagenet2012").

    Raises:
        InputError: The dataset is unknown.

    Example:
        >>> class_names("cifar10")[:3]
        ('airplane', 'automobile', 'bird')
    """
    files = {path.stem: path for path in sorted(Path(__file__).with_name("class_names").glob("*.txt"))}
    name = standard_name(str(dataset))
    if name not in files:
        raise InputError(f"no class names for dataset={dataset!r}. Choose one of {', '.join(files)}.")
    return tuple(files[name].read_text(encoding="utf-8").splitlines())
