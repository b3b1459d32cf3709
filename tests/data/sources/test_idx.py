import gzip
import struct

import numpy as np
import pytest

from keras_cct.data.sources.idx import read_idx
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype="uint8")
LABELS = np.array([0, 1, 2, 0, 1, 2], "uint8")


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def write_dataset(folder, suffix="", test_labels=LABELS[:2], images=IMAGES, infix="-"):
    opened = gzip.open if suffix else open
    images_suffix = f"{infix}idx{images.ndim}-ubyte{suffix}"
    files = {
        f"train-images{images_suffix}": images,
        f"train-labels{infix}idx1-ubyte{suffix}": LABELS,
        f"t10k-images{images_suffix}": images[:2],
        f"t10k-labels{infix}idx1-ubyte{suffix}": test_labels,
    }
    for name, array in files.items():
        with opened(folder / name, "wb") as file:
            file.write(idx_bytes(array))


def open_idx(folder):
    return open_source(Source("mine", str(folder)))


@pytest.mark.parametrize(("suffix", "infix"), [("", "-"), (".gz", "-"), ("", ".")])
def test_plain_and_compressed_files_are_read(suffix, infix, tmp_path):
    write_dataset(tmp_path, suffix, infix=infix)
    train, test = open_idx(tmp_path)
    np.testing.assert_array_equal(train.images, IMAGES[..., None])
    np.testing.assert_array_equal(test.images, IMAGES[:2, ..., None])
    assert (train.labels.tolist(), test.labels.tolist()) == (LABELS.tolist(), [0, 1])
    assert train.labels.dtype == "int64"
    assert train.class_names == ("0", "1", "2")


def test_files_with_four_dimensions_have_channels(tmp_path):
    color = np.stack([IMAGES, IMAGES, IMAGES], axis=-1)
    write_dataset(tmp_path, images=color)
    np.testing.assert_array_equal(open_idx(tmp_path)[0].images, color)


def test_missing_file_is_named(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="has no file 't10k-labels-idx1-ubyte'"):
        open_idx(tmp_path)


@pytest.mark.parametrize("labels", [LABELS[:1], np.array([0, 3], "uint8")])
def test_inconsistent_test_labels_are_rejected(labels, tmp_path):
    write_dataset(tmp_path, test_labels=labels)
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte' (has 1 labels for 2|is not in \[0, 2\])"):
        open_idx(tmp_path)


@pytest.mark.parametrize("label", [3, 255])
def test_training_labels_with_gaps_are_rejected(label, tmp_path):
    write_dataset(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1, 0, 1, 1, label], "uint8")))
    with pytest.raises(InputError, match=r"class 2 of 4 has no images in|label 255 in .* is not in \[0, 5\]"):
        open_idx(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file of unsigned bytes"),
        (b"\x89PNG\r\n\x1a\n", "is not an IDX file of unsigned bytes"),
        (b"\0\0\x0d\x03" + bytes(12), "is not an IDX file of unsigned bytes"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", "is not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x03" + bytes(5), "is not an IDX file of unsigned bytes"),
        (idx_bytes(IMAGES)[:-1], "has 119 values, but its shape (6, 5, 4) needs 120"),
        (idx_bytes(IMAGES) + b"x", "has 121 values, but"),
    ],
)
def test_corrupted_files_are_rejected_by_name(content, message, tmp_path):
    (tmp_path / "broken-ubyte").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_idx(tmp_path / "broken-ubyte")
    assert "broken-ubyte'" in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "content", [gzip.compress(idx_bytes(IMAGES), mtime=0)[:-20], b"no gzip", gzip.compress(b"x", mtime=0)[:12]]
)
def test_corrupted_compression_is_rejected_by_name(content, tmp_path):
    (tmp_path / "broken-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match="broken-ubyte.gz' is not a gzip file, or it is corrupted"):
        read_idx(tmp_path / "broken-ubyte.gz")


def test_compression_bomb_is_refused(tmp_path):
    content = bytes((0, 0, 8, 3)) + struct.pack(">3i", 2**17, 32, 32) + bytes(2**27)
    (tmp_path / "bomb-ubyte.gz").write_bytes(gzip.compress(content, 1, mtime=0))
    with pytest.raises(InputError, match="bomb-ubyte.gz' expands to more than"):
        read_idx(tmp_path / "bomb-ubyte.gz")


def test_devices_are_refused(tmp_path):
    (tmp_path / "zeros-ubyte").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="zeros-ubyte' is not a regular file"):
        read_idx(tmp_path / "zeros-ubyte")
