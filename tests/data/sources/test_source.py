import gzip

import numpy as np
import pytest
from fixtures.images import image_folder

from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import SPLIT_SYNONYMS, Source, check_default_splits, find_split
from keras_cct.errors import InputError

IMAGES = np.zeros((2, 4, 4), "uint8")
LABELS = np.array([0, 1], "uint8")


def test_split_is_found_by_name_before_synonym():
    assert find_split("validation", ["train", "test", "validation"]) == "validation"
    assert find_split("valid", ["train", "test"]) == "test"
    assert find_split("odd", ["train", "test"]) is None


@pytest.mark.parametrize("train_split", SPLIT_SYNONYMS[0])
@pytest.mark.parametrize("val_split", SPLIT_SYNONYMS[1])
def test_synonyms_of_the_default_splits_are_accepted(train_split, val_split):
    check_default_splits(Source("mine", "mine.npz", train_split=train_split, val_split=val_split))


def write_npz(folder) -> Source:
    np.savez(folder / "mine.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS)
    return Source("mine", str(folder / "mine.npz"))


def write_idx(folder) -> Source:
    for split in ("train", "t10k"):
        for name, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return Source("mine", str(folder))


FIXED_SOURCES = {
    "npz": write_npz,
    "idx": write_idx,
    "sample": lambda _: Source("sample"),
    "keras": lambda _: Source("keras/mnist"),
}


@pytest.mark.parametrize("write", FIXED_SOURCES.values(), ids=FIXED_SOURCES)
@pytest.mark.parametrize(
    ("key", "value"),
    [("train_split", "train[:90%]"), ("train_split", "test"), ("val_split", "train"), ("class_map", "map.txt")],
)
def test_keys_without_effect_are_rejected(write, key, value, tmp_path):
    source = write(tmp_path)
    with pytest.raises(InputError) as error:
        open_source(Source(source.dataset, source.data_dir, **{key: value}))
    assert f"{key}={value!r} has no effect with {source.data_dir or source.dataset!r}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [write_npz, write_idx], ids=["npz", "idx"])
def test_default_splits_are_read(write, tmp_path):
    assert [len(data) for data in open_source(write(tmp_path))] == [2, 2]


def test_image_folders_accept_all_keys(tmp_path):
    image_folder(tmp_path, {"a/cat": 1, "b/cat": 1})
    (tmp_path / "map.txt").write_text("cat")
    source = Source("mine", str(tmp_path), class_map=str(tmp_path / "map.txt"), train_split="a", val_split="b")
    assert [len(data) for data in open_source(source)] == [1, 1]
