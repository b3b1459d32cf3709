"""Splits the images of one folder into training and evaluation images, by a hash of their paths.

The place of an image depends on its path and the seed only, so that adding photos moves no others.
"""

import collections
import csv
import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from keras_cct.data.sources.scan import LabeledFile
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading, replacing

COLUMNS = ("split", "class", "path")
TRAIN, EVALUATION = "train", "validation"
"""Names of the splits in the file that `write_split` writes."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """A part of a split, in the notation of TFDS: "[:80%]", "[80%:]", "[-100:]".

    Images are ordered by `path_fraction`, not by class, so that a slice has images of all classes. Percents compare
    with the fraction itself; numbers count images.

    Args:
        start: First image, a number or, with "%", a percentage; None for the first of all. Negative ones count from
            the end.
        stop: The image after the last one, in the same way.
    """

    start: str | None
    stop: str | None

    def select(self, files: Sequence[LabeledFile], folder: Path, seed: int) -> list[LabeledFile]:
        """Returns the images of the slice, in their order in `files`."""
        fractions = {path: path_fraction(path, folder, seed) for path, _ in files}
        ranks = {path: rank for rank, path in enumerate(sorted(fractions, key=lambda path: fractions[path]))}

        def is_before(path: str, bound: str | None, default: bool) -> bool:
            if bound is None:
                return default
            if bound.endswith("%"):
                percent = int(bound[:-1])
                return fractions[path] < (percent + 100 * (percent < 0)) / 100
            return ranks[path] < int(bound) + len(files) * (int(bound) < 0)

        return [
            (path, name)
            for path, name in files
            if not is_before(path, self.start, False) and is_before(path, self.stop, True)
        ]


def parse_split(split: str) -> tuple[str, Slice | None]:
    """Returns the name of a split and its slice, e.g. of "train[:80%]".

    Raises:
        InputError: The slice is malformed.
    """
    name, bracket, rest = split.partition("[")
    if not bracket:
        return split, None
    match = re.fullmatch(r"(-?\d+%?)?:(-?\d+%?)?\]", rest)
    percents = [int(bound[:-1]) for bound in (match.groups() if match else ()) if bound and bound.endswith("%")]
    if match is None or any(abs(percent) > 100 for percent in percents):
        raise InputError(f"split {split!r} is not a slice. Write train[:80%], train[80%:] or train[:1000].")
    return name, Slice(*match.groups())


def path_fraction(path: str, folder: Path, seed: int) -> float:
    """Returns a number in [0, 1), uniformly distributed over paths: a hash of the path in the folder and the seed."""
    relative = PurePath(path).relative_to(folder).as_posix()
    digest = hashlib.blake2b(f"{seed}/{relative}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def hold_out(
    files: Sequence[LabeledFile], folder: Path, fraction: float, seed: int
) -> tuple[list[LabeledFile], list[LabeledFile]]:
    """Returns training and evaluation images: about `fraction` of each class is held out for evaluation.

    A class with two or more images has at least one in each split; a class with one image has it in training.

    Args:
        files: All images.
        folder: The folder that the hashed paths are relative to.
        fraction: Fraction for evaluation, above 0 and below 1.
        seed: Seed of the hash.
    """
    classes: dict[str, list[tuple[float, str]]] = {}
    for path, name in files:
        classes.setdefault(name, []).append((path_fraction(path, folder, seed), path))
    held_out = set()
    for members in classes.values():
        members.sort()
        count = sum(place < fraction for place, _ in members)
        count = min(max(count, 1), len(members) - 1)
        held_out |= {path for _, path in members[:count]}
    return [pair for pair in files if pair[0] not in held_out], [pair for pair in files if pair[0] in held_out]


def divide_into_folds(
    files: Sequence[LabeledFile], folder: Path, folds: int, fold: int, seed: int
) -> tuple[list[LabeledFile], list[LabeledFile]]:
    """Returns training and evaluation images of one fold of a cross-validation.

    Each image is in exactly one fold. The folds have equally many images of each class, and of all, except for one.

    Args:
        files: All images.
        folder: The folder that the hashed paths are relative to.
        folds: Number of folds.
        fold: The fold of the evaluation images, from 1; the others are for training.
        seed: Seed of the hash.

    Raises:
        InputError: A class has a single image, or there are fewer images than folds.
    """
    ordered = sorted(files, key=lambda pair: (pair[1], path_fraction(pair[0], folder, seed), pair[0]))
    counts = collections.Counter(name for _, name in files)
    name, count = min(counts.items(), key=lambda item: item[1])
    if count < 2:
        raise InputError(
            f"class {name!r} in {str(folder)!r} has a single image, so it cannot be in training and evaluation. Add "
            f"images, or leave folds={folds} out."
        )
    if len(files) < folds:
        raise InputError(f"{str(folder)!r} has {len(files)} images, fewer than folds={folds}. Choose fewer folds.")
    held_out = {path for path, _ in ordered[fold - 1 :: folds]}
    return [pair for pair in files if pair[0] not in held_out], [pair for pair in files if pair[0] in held_out]


def write_split(path: Path, folder: Path, train: Sequence[LabeledFile], evaluation: Sequence[LabeledFile]) -> None:
    """Writes which images of a folder belong to which split, as a CSV file with the columns `COLUMNS`."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split, files in ((TRAIN, train), (EVALUATION, evaluation)):
            writer.writerows((split, name, PurePath(image).relative_to(folder).as_posix()) for image, name in files)


def _is_inside(path: str) -> bool:
    """Returns whether a path stays inside the folder that it is relative to."""
    return not Path(path).is_absolute() and ".." not in Path(path).parts


def read_split(path: Path, folder: Path) -> tuple[list[LabeledFile], list[LabeledFile]]:
    """Returns the training and the evaluation images that `write_split` has written.

    Raises:
        InputError: The file is missing or malformed.
    """
    check_is_file(path)
    files: dict[str, list[LabeledFile]] = {TRAIN: [], EVALUATION: []}
    with reading(path, "the split of a run"), path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not _is_inside(row["path"]):
                raise ValueError(f"{row['path']!r} is outside of the folder")
            files[row["split"]].append((str(folder / row["path"]), row["class"]))
        if not all(files.values()):
            raise ValueError("a split has no images")
    return files[TRAIN], files[EVALUATION]
