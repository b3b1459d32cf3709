"""What to open: the keys of a recipe that say where its images are."""

import dataclasses
from collections.abc import Iterable

SPLIT_SYNONYMS = (("train", "training"), ("val", "valid", "validation", "eval", "evaluation", "test"))


@dataclasses.dataclass(frozen=True)
class Source:
    """Two splits of a data set; the fields are keys of `Recipe`.

    Args:
        dataset: "sample", "tfds/NAME", "keras/NAME", or any name with a `data_dir`.
        data_dir: Folder or .npz file; for TFDS where the set was prepared.
        class_map: Text file with a folder name per line, in the order of the classes; empty for natural order.
        train_split: Split or folder of the training images.
        val_split: Split or folder of the evaluation images.
    """

    dataset: str
    data_dir: str = ""
    class_map: str = ""
    train_split: str = "train"
    val_split: str = "validation"


def find_split(split: str, present: Iterable[str]) -> str | None:
    """Returns a split by the name given or else by another name for the same, or None if none is present."""
    present = set(present)
    synonyms = next((names for names in SPLIT_SYNONYMS if split in names), ())
    return next((name for name in (split, *synonyms) if name in present), None)
