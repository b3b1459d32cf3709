"""Creates keras_cct/data/sample/fashion_mnist.npz from the IDX files of the full Fashion-MNIST dataset.

    python tools/make_sample.py /usr/share/datasets/fashion-mnist

The Debian package `dataset-fashion-mnist` installs the files in this folder.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

SAMPLE = Path(__file__).parents[1] / "keras_cct" / "data" / "sample" / "fashion_mnist.npz"
IMAGES_PER_CLASS = {"train": 500, "t10k": 100}


def read_idx(path: Path) -> np.ndarray:
    """Returns the uint8 array of a gzipped IDX file.

    Its format: two zero bytes, the type code 8 (uint8), the number of dimensions, the shape as big-endian uint32, the
    values.
    """
    content = gzip.decompress(path.read_bytes())
    num_dims = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=num_dims, offset=4)
    return np.frombuffer(content, dtype="uint8", offset=4 + 4 * num_dims).reshape(shape)


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns the sorted indices of the first `count` images of each class."""
    indices = [np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(indices))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with the four .gz files of Fashion-MNIST")
    folder = parser.parse_args().folder
    arrays = {}
    for split, count in IMAGES_PER_CLASS.items():
        labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
        chosen = first_of_each_class(labels, count)
        name = "train" if split == "train" else "test"
        arrays[f"{name}_images"] = read_idx(folder / f"{split}-images-idx3-ubyte.gz")[chosen]
        arrays[f"{name}_labels"] = labels[chosen]
    np.savez_compressed(SAMPLE, **arrays)


if __name__ == "__main__":
    main()
