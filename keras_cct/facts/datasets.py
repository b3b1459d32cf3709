"""The class names of the published data sets, one file a data set, in the order of the weights' logits.

The names are the data sets' own. ImageNet's are the first of each synset; where two synsets share it, which 134 and
517, 264 and 474, 638 and 639 do, one that tells them apart. Needs neither Keras nor NumPy.
"""

from pathlib import Path

from keras_cct.errors import InputError

_SYNONYMS = {
    "oxford_flowers102": "flowers102",
    "imagenet1k": "imagenet",
    "imagenet2012": "imagenet",
}


def class_names(dataset: str) -> tuple[str, ...]:
    """Returns the names of a data set's classes in the order of the logits, all of them different.

    Args:
        dataset: "cifar10", "cifar100", "fashion_mnist", "flowers102" ("oxford_flowers102") or "imagenet"
            ("imagenet1k", "imagenet2012").

    Raises:
        InputError: The data set is unknown.

    Example:
        >>> class_names("cifar10")[:3]
        ('airplane', 'automobile', 'bird')
    """
    files = {path.stem: path for path in sorted(Path(__file__).with_name("class_names").glob("*.txt"))}
    name = _SYNONYMS.get(str(dataset), str(dataset))
    if name not in files:
        raise InputError(f"no class names for dataset={dataset!r}. Choose one of {', '.join(files)}.")
    return tuple(files[name].read_text(encoding="utf-8").splitlines())
