"""IDX files, the binary format of MNIST.

Reference: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

import gzip
import math
from pathlib import Path

import numpy as np

from keras_cct.archives import MAX_EXPANSION, MIN_LIMIT_BYTES
from keras_cct.data.images import LabeledImages
from keras_cct.data.sources.labels import check_labels, check_lengths, count_classes, default_class_names
from keras_cct.data.sources.source import Source, check_default_splits
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

FILE_PREFIXES = {"train": ("train",), "test": ("t10k", "test")}

UNSIGNED_BYTES = 8
"""Type code of the format for unsigned bytes, the only type that is supported."""
MAX_DIMS = 4
"""Images, rows, columns and channels."""


def has_idx_files(folder: Path) -> bool:
    """Returns whether a folder contains an IDX file of training images."""
    return bool(_find_files(folder, "train", "images"))


def open_idx(source: Source) -> tuple[LabeledImages, LabeledImages]:
    """Returns the training and the test images of a folder with four IDX files, plain or compressed with gzip.

    The files are named train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, with or without the suffix .gz. Images with color channels are in idx4 files.

    Args:
        source: `data_dir` is the path of the folder.

    Raises:
        InputError: A file is missing, corrupted or inconsistent with the others.
    """
    check_default_splits(source)
    folder = Path(source.data_dir)
    train_images, train_labels, train_file = _read_split(folder, "train")
    test_images, test_labels, test_file = _read_split(folder, "test")
    num_classes = count_classes(train_labels, train_file)
    check_labels(test_labels, num_classes, test_file)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"{str(folder)!r} has training images of shape {train_images.shape[1:]} and test images of shape "
            f"{test_images.shape[1:]}. Use the same shape for both."
        )
    names = default_class_names(source.dataset, num_classes)
    return LabeledImages(train_images, train_labels, names), LabeledImages(test_images, test_labels, names)


def _find_files(folder: Path, split: str, content: str) -> list[Path]:
    """Returns the files of a split, the preferred one first; `content` is "images" or "labels"."""
    stems = [f"{prefix}-{content}" for prefix in FILE_PREFIXES[split]]
    files = [folder.glob(f"{stem}[-.]idx[134]-ubyte{suffix}") for stem in stems for suffix in ("", ".gz")]
    return [path for found in files for path in sorted(found)]


def _read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns the images, the labels and the path of the file of labels."""
    files = []
    for content, num_dims in (("images", 3), ("labels", 1)):
        found = _find_files(folder, split, content)
        if not found:
            missing = f"{FILE_PREFIXES[split][0]}-{content}-idx{num_dims}-ubyte"
            raise InputError(f"{str(folder)!r} has no file {missing!r} or {missing + '.gz'!r}. Add it.")
        files.append(found[0])
    images, labels = read_idx(files[0]), read_idx(files[1])
    for path, array, allowed in ((files[0], images, (3, 4)), (files[1], labels, (1,))):
        if array.ndim not in allowed:
            expected = " or ".join(map(str, allowed))
            raise InputError(f"{str(path)!r} has {array.ndim} dimensions, expected {expected}. Use another file.")
    check_lengths(len(images), len(labels), str(files[1]))
    return images if images.ndim == 4 else images[..., None], labels.astype("int64"), str(files[1])


def read_idx(path: Path) -> np.ndarray:
    """Returns the values of an IDX file as a uint8 array.

    Raises:
        InputError: The file is not an IDX file of unsigned bytes, or is corrupted.
    """
    check_is_file(path)
    opened = gzip.open if path.suffix == ".gz" else open
    limit = max(MIN_LIMIT_BYTES, MAX_EXPANSION * path.stat().st_size)
    expected = "a gzip file" if path.suffix == ".gz" else "a readable file"
    with reading(path, expected, "Download it again."), opened(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{str(path)!r} expands to more than {limit:,} bytes. Use another file.")
    is_header = len(content) >= 4 and content[:3] == bytes((0, 0, UNSIGNED_BYTES)) and content[3] <= MAX_DIMS
    if not is_header or len(content) < 4 + 4 * content[3]:
        raise InputError(f"{str(path)!r} is not an IDX file of unsigned bytes. Use another file or download it again.")
    num_dims = content[3]
    shape = tuple(int(length) for length in np.frombuffer(content, ">i4", num_dims, offset=4))
    start, size = 4 + 4 * num_dims, math.prod(shape)
    if min(shape, default=-1) < 0 or len(content) != start + size:
        raise InputError(
            f"{str(path)!r} has {len(content) - start} values, but its shape {shape} needs {size}. Download it again."
        )
    return np.frombuffer(content, "uint8", size, offset=start).reshape(shape)
