"""Splits the images of one folder into training and evaluation images, by a hash of their paths.

The place of an image depends on its path and the seed only, so that adding photos moves no others.
"""

import collections
import csv
import dataclasses
import hashlib
import itertools
import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

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
        fractions = _path_fractions(files, folder, seed)
        ranks = np.empty(len(files), "int64")
        ranks[np.argsort(fractions, kind="stable")] = np.arange(len(files))

        def is_before(bound: str | None, default: bool) -> np.ndarray:
            if bound is None:
                return np.full(len(files), default)
            if bound.endswith("%"):
                percent = int(bound[:-1])
                return fractions < (percent + 100 * (percent < 0)) / 100
            return ranks < int(bound) + len(files) * (int(bound) < 0)

        return list(itertools.compress(files, ~is_before(self.start, False) & is_before(self.stop, True)))


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
    digest = hashlib.blake2b(f"{seed}/{_path_inside(path, folder)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _path_fractions(files: Sequence[LabeledFile], folder: Path, seed: int) -> np.ndarray:
    """Returns `path_fraction` of each file, float64 of shape (files,)."""
    return np.fromiter((path_fraction(path, folder, seed) for path, _ in files), "float64", len(files))


def _path_inside(path: str, folder: Path) -> str:
    """Returns the path relative to a folder that contains it, without `PurePath`, which is slow for many files."""
    prefix = os.path.join(folder, "")  # noqa: PTH118 # the folder with a separator behind it
    if path.startswith(prefix):
        return path[len(prefix) :]
    return PurePath(path).relative_to(folder).as_posix()


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
    fractions = _path_fractions(files, folder, seed)
    classes: dict[str, list[int]] = {}
    for index, (_, name) in enumerate(files):
        classes.setdefault(name, []).append(index)
    is_held_out = np.zeros(len(files), "bool")
    for members in classes.values():
        members.sort(key=lambda index: (fractions[index], files[index][0]))
        count = int((fractions[members] < fraction).sum())
        count = min(max(count, 1), len(members) - 1)
        is_held_out[members[:count]] = True
    return list(itertools.compress(files, ~is_held_out)), list(itertools.compress(files, is_held_out))


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
            writer.writerows((split, name, _path_inside(image, folder)) for image, name in files)


def read_split(path: Path, folder: Path) -> tuple[list[LabeledFile], list[LabeledFile]]:
    """Returns the training and the evaluation images that `write_split` has written.

    Raises:
        InputError: The file is missing or malformed.
    """
    check_is_file(path)
    files: dict[str, list[LabeledFile]] = {TRAIN: [], EVALUATION: []}
    names: dict[str, str] = {}  # one string per class, not per image
    prefix = str(folder / "name").removesuffix("name")
    with reading(path, "the split of a run"), path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        columns = operator.itemgetter(*map(next(rows).index, COLUMNS))
        for split, name, image in map(columns, filter(None, rows)):
            files[split].append((prefix + _checked_path(image), names.setdefault(name, name)))
        if not all(files.values()):
            raise ValueError("a split has no images")
    return files[TRAIN], files[EVALUATION]


def _checked_path(path: str) -> str:
    """Returns a relative path that stays inside the folder that it is relative to, normalized.

    Raises:
        ValueError: The path is absolute or leads out of the folder.
    """
    parts = path.split("/")
    if ".." in parts or not parts[0]:
        raise ValueError(f"{path!r} is outside of the folder")
    return path if {"", "."}.isdisjoint(parts) else PurePath(path).as_posix()
