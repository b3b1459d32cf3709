"""IDX files, the format of MNIST.

Reference: Yann LeCun's page of MNIST, http://yann.lecun.com/exdb/mnist.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.arrays import check_labels, check_lengths, count_classes, names_of_classes
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

SPLITS = {"train": ("train",), "test": ("t10k", "test")}
"""How the names of a split's files begin."""

UNSIGNED_BYTES = 8
"""The format's code for the type of all values here."""


def holds_idx_files(folder: Path) -> bool:
    """Returns whether a folder has IDX files of training images."""
    return bool(_candidates(folder, "train", "images"))


def open_idx(source: Source) -> tuple[LabeledImages, LabeledImages]:
    """Returns the training and the test images of a folder of four IDX files, plain or compressed by gzip.

    They are called train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte,
    with or without .gz; idx4 files have color channels.

    Args:
        source: `data_dir` is the folder.

    Raises:
        InputError: A file is missing, broken or does not fit the others.
    """
    folder = Path(source.data_dir)
    train_images, train_labels, label_file = _read_split(folder, "train")
    test_images, test_labels, test_file = _read_split(folder, "test")
    num_classes = count_classes(train_labels, label_file)
    check_labels(test_labels, num_classes, test_file)
    if train_images.shape[1:] != test_images.shape[1:]:
        shapes = f"{train_images.shape[1:]} for training and {test_images.shape[1:]} for test"
        raise InputError(f"the images in {str(folder)!r} are {shapes}. Give files with one size.")
    names = names_of_classes(source.dataset, num_classes)
    return LabeledImages(train_images, train_labels, names), LabeledImages(test_images, test_labels, names)


def _candidates(folder: Path, split: str, kind: str) -> list[Path]:
    stems = [f"{start}-{kind}" for start in SPLITS[split]]
    files = [folder.glob(f"{stem}[-.]idx[134]-ubyte{ending}") for stem in stems for ending in ("", ".gz")]
    return [path for found in files for path in sorted(found)]


def _read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray, str]:
    files = []
    for kind, dims in (("images", 3), ("labels", 1)):
        found = _candidates(folder, split, kind)
        if not found:
            missing = f"{SPLITS[split][0]}-{kind}-idx{dims}-ubyte"
            raise InputError(f"{str(folder)!r} has no file {missing!r}, nor the same with .gz. Put it there.")
        files.append(found[0])
    images, labels = read_idx(files[0]), read_idx(files[1])
    for path, array, allowed in ((files[0], images, (3, 4)), (files[1], labels, (1,))):
        if array.ndim not in allowed:
            raise InputError(f"{str(path)!r} has {array.ndim} axes, not {' or '.join(map(str, allowed))}.")
    check_lengths(len(images), len(labels), str(files[1]))
    return images if images.ndim == 4 else images[..., None], labels.astype("int64"), str(files[1])


def read_idx(path: Path) -> np.ndarray:
    """Returns the values of an IDX file as a uint8 array.

    Raises:
        InputError: It is no IDX file of unsigned bytes, or not whole.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{str(path)!r} is not a whole gzip file. Fetch it again.") from error
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}.") from error
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)) or len(content) < 4 + 4 * content[3]:
        raise InputError(f"{str(path)!r} is not an IDX file of unsigned bytes. Give another, or fetch it again.")
    num_dims = content[3]
    shape = tuple(int(side) for side in np.frombuffer(content, ">i4", num_dims, offset=4))
    start, size = 4 + 4 * num_dims, math.prod(shape)
    if min(shape, default=-1) < 0 or len(content) != start + size:
        raise InputError(
            f"{str(path)!r} has {len(content) - start} values, not the {size} of its shape {shape}. Fetch it again."
        )
    return np.frombuffer(content, "uint8", size, offset=start).reshape(shape)
