"""Fingerprints of datasets, with which a resumed run recognizes that its images have changed."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_cct.data.file_stamps import MISSING, file_stamps
from keras_cct.data.images import ImageSet, LabeledImages, RecordImages
from keras_cct.files import reading, replacing
from keras_cct.npz import read_npz

DIGEST_BYTES = 8
MAX_SHOWN_NAMES = 3
SHOWN_CHARACTERS = 40

_EXPECTED = "a fingerprint of data"
_ADVICE = "Remove it and resume with --allow-changed-data if the images are those of the run."


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of images, in a fraction of the memory of strings.

    Args:
        joined: The names in UTF-8, separated by null characters, which names cannot contain.
    """

    joined: bytes

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Returns names."""
        joined = bytearray()
        for name in names:
            joined += name.encode(errors="surrogateescape") + b"\0"
        return cls(bytes(joined[:-1]))

    def __len__(self) -> int:
        return self.joined.count(b"\0") + 1 if self.joined else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.joined.decode(errors="surrogateescape").split("\0") if self.joined else ())


@dataclasses.dataclass(frozen=True, eq=False)
class SplitFingerprint:
    """Fingerprint of one split of a dataset.

    Args:
        source: What identifies a stream of records, whose images are not compared one by one; empty for other splits.
        names: Name of each image, below their common folder; empty if the images have no names.
        labels: int64 array of shape (images,).
        digests: uint64 array of shape (images,): a hash of each image's pixels or encoded bytes; for images that stay
            in their files, of the size and the modification time of the file.
    """

    source: str
    names: Names
    labels: np.ndarray
    digests: np.ndarray

    @classmethod
    def of(cls, data: ImageSet) -> "SplitFingerprint":
        """Returns the fingerprint of a split."""
        if isinstance(data, RecordImages):
            none = np.empty(0, "int64"), np.empty(0, "uint64")
            return cls(f"{data.count} images of {data.name}", Names(b""), *none)
        if isinstance(data, LabeledImages):
            contents: Iterable[Any] = map(np.ascontiguousarray, data.images)
        else:
            contents = data.contents if data.contents is not None else _file_contents(data.names)
        digests = bytearray()
        for content in contents:
            digests += hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
        start = _common_length(data.names)
        names = Names.of(name[start:] for name in data.names)
        return cls("", names, np.asarray(data.labels, "int64"), np.frombuffer(digests, "uint64"))

    def changes(self, now: "SplitFingerprint", noun: str) -> Iterator[str]:
        """Yields what differs in another fingerprint, e.g. "2 training images were added ('a/1.png', 'a/2.png')".

        Args:
            now: The other fingerprint.
            noun: What the images are, "training" or "evaluation".
        """
        if self.source != now.source:
            yield f"the {noun} images were {self.source or 'in memory'} and are {now.source or 'in memory'}"
            return
        if self._is_equal(now):  # as mostly: spares the memory of millions of names as strings
            return
        before_index, now_index = ({name: i for i, name in enumerate(names)} for names in (self._keys(), now._keys()))
        common = [name for name in before_index if name in now_index]
        before_rows, now_rows = ([index[name] for name in common] for index in (before_index, now_index))
        has_label = self.labels[before_rows] == now.labels[now_rows]
        has_content = self.digests[before_rows] == now.digests[now_rows]
        for names, change in (
            ([name for name in before_index if name not in now_index], "removed"),
            ([name for name in now_index if name not in before_index], "added"),
            (list(itertools.compress(common, ~has_label)), "given another label"),
            (list(itertools.compress(common, ~has_content)), "modified"),
        ):
            if names:
                count = f"1 {noun} image was" if len(names) == 1 else f"{len(names)} {noun} images were"
                yield f"{count} {change} ({_listed(names)})"

    def _is_equal(self, other: "SplitFingerprint") -> bool:
        arrays = ((self.labels, other.labels), (self.digests, other.digests))
        return self.names == other.names and all(np.array_equal(mine, others) for mine, others in arrays)

    def _keys(self) -> Iterable[str]:
        return self.names if self.names.joined else [f"image {index}" for index in range(len(self.labels))]


@dataclasses.dataclass(frozen=True, eq=False)
class DataFingerprint:
    """Fingerprint of the training and the evaluation images of a run.

    Args:
        class_names: Names of the classes.
        splits: Fingerprints of the training and the evaluation images.
    """

    class_names: tuple[str, ...]
    splits: tuple[SplitFingerprint, SplitFingerprint]

    @classmethod
    def of(cls, train: ImageSet, evaluation: ImageSet) -> "DataFingerprint":
        """Returns the fingerprint of two splits."""
        return cls(tuple(train.class_names), (SplitFingerprint.of(train), SplitFingerprint.of(evaluation)))

    def changes(self, now: "DataFingerprint") -> str:
        """Returns what differs in another fingerprint, in words; empty if nothing does."""
        found = []
        if self.class_names != now.class_names:
            lost = [name for name in self.class_names if name not in now.class_names] or self.class_names
            gained = [name for name in now.class_names if name not in self.class_names] or now.class_names
            found.append(f"the classes were {_listed(lost)} and are {_listed(gained)}")
        for before, after, noun in zip(self.splits, now.splits, ("training", "evaluation"), strict=True):
            found += before.changes(after, noun)
        return ", ".join(found)

    def write(self, path: Path) -> None:
        """Writes the fingerprint to an `.npz` file, atomically."""
        arrays: dict[str, Any] = {"class_names": _to_array(Names.of(self.class_names))}
        for name, split in zip(("train", "evaluation"), self.splits, strict=True):
            source = Names.of([split.source])
            arrays |= {f"{name}_source": _to_array(source), f"{name}_names": _to_array(split.names)}
            arrays |= {f"{name}_labels": split.labels, f"{name}_digests": split.digests}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> "DataFingerprint":
        """Returns the fingerprint in a file.

        Raises:
            InputError: The file is missing, corrupted or not a fingerprint.
        """
        arrays = read_npz(path, _ADVICE, _EXPECTED)
        with reading(path, _EXPECTED, _ADVICE):
            splits = [_read_split(arrays, name) for name in ("train", "evaluation")]
            return cls(tuple(_to_names(arrays["class_names"])), (splits[0], splits[1]))


def shared_facts(fingerprint: DataFingerprint, train: ImageSet, evaluation: ImageSet) -> dict[str, str]:
    """Returns what must be equal on all hosts that train together, by name: classes, and a hash of each split.

    Of images that stay in their files, names and labels are hashed, but not sizes and times: hosts may have copies.
    """
    names = Names.of(fingerprint.class_names)
    facts = {"classes": _hashed([names.joined], f"{len(names)} classes")}
    for split, data, noun in zip(fingerprint.splits, (train, evaluation), ("training", "evaluation"), strict=True):
        stays_in_files = not isinstance(data, LabeledImages | RecordImages) and data.contents is None
        digests = b"" if stays_in_files else split.digests.tobytes()
        contents = [split.source.encode(), split.names.joined, split.labels.tobytes(), digests]
        facts[f"{noun} images"] = _hashed(contents, f"{len(data)} images")
    return facts


def _hashed(contents: Iterable[bytes], count: str) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for content in contents:
        digest.update(content + b"\0")
    return f"{count} (hash {digest.hexdigest()})"


def _read_split(arrays: Mapping[str, np.ndarray], name: str) -> SplitFingerprint:
    source, names = (_to_names(arrays[f"{name}_{key}"]) for key in ("source", "names"))
    labels, digests = (arrays[f"{name}_{key}"] for key in ("labels", "digests"))
    has_types = labels.dtype == "int64" and digests.dtype == "uint64" and labels.ndim == 1
    if not has_types or labels.shape != digests.shape or len(names) not in (0, len(labels)):
        raise ValueError(f"the arrays of the split {name!r} do not belong together.")
    return SplitFingerprint("".join(source), names, labels, digests)


def _file_contents(paths: Sequence[str]) -> Iterator[bytes]:
    """Yields what identifies the content of each file: its size and modification time; nothing for a dangling link."""
    stamps = file_stamps(paths)
    for size, time in zip(stamps.sizes.data, stamps.times.data, strict=True):
        yield b"" if size == MISSING else f"{size} {time}".encode()


def _common_length(names: Sequence[str]) -> int:
    """Returns the length of the folder that all names share, which is left out, so that a dataset can be moved."""
    if not names:
        return 0
    # In sorted order, what the first and the last name share is shared by all.
    folders = [os.path.dirname(name) for name in (min(names), max(names))]  # noqa: PTH120 # names may not be paths
    return len(os.path.join(os.path.commonpath(folders), ""))  # noqa: PTH118


def _to_array(names: Names) -> np.ndarray:
    # An array of strings would take the memory of the longest one for each.
    return np.frombuffer(names.joined, "uint8")


def _to_names(array: np.ndarray) -> Names:
    return Names(array.tobytes())


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= SHOWN_CHARACTERS else f"...{name[-SHOWN_CHARACTERS:]}") for name in names]
    return ", ".join(shown[:MAX_SHOWN_NAMES]) + (", ..." if len(names) > MAX_SHOWN_NAMES else "")
