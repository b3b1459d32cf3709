import dataclasses
import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import image_folder

from keras_cct.data.fingerprint import DataFingerprint, SplitFingerprint, shared_facts
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages, RecordImages
from keras_cct.data.sources import cache
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def arrays(count: int = 4, class_names=("a", "b")) -> LabeledImages:
    images = np.arange(count * 4, dtype="uint8").reshape(count, 2, 2, 1)
    return LabeledImages(images, np.arange(count) % 2, class_names)


def changes(before, now, evaluation=None) -> str:
    evaluation = evaluation or arrays()
    return DataFingerprint.of(before, evaluation).changes(DataFingerprint.of(now, evaluation))


def changed(data: LabeledImages, field: str, index: int) -> LabeledImages:
    values = {"images": data.images.copy(), "labels": data.labels.copy()}
    values[field][index] = 1 - values[field][index]
    return LabeledImages(**values, class_names=data.class_names)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (arrays(), ""),
        (changed(arrays(), "labels", 1), "1 training image was given another label ('image 1')"),
        (changed(arrays(), "images", 2), "1 training image was modified ('image 2')"),
        (arrays(9), "5 training images were added ('image 4', 'image 5', 'image 6', ...)"),
        (arrays(3), "1 training image was removed ('image 3')"),
        (arrays(class_names=("a", "c")), "the classes were 'b' and are 'c'"),
        (arrays(class_names=("b", "a")), "the classes were 'a', 'b' and are 'b', 'a'"),
    ],
)
def test_changes_of_arrays_are_counted_and_named(now, found):
    assert changes(arrays(), now) == found


def test_changes_of_the_evaluation_images_are_found():
    before, now = (DataFingerprint.of(arrays(), arrays(count)) for count in (4, 2))
    assert before.changes(now) == "2 evaluation images were removed ('image 2', 'image 3')"


@pytest.fixture(params=["cached", "files"])
def folder(request, tmp_path, monkeypatch):
    """A folder of images that are decoded in memory, or stay in their files."""
    if request.param == "files":
        monkeypatch.setattr(cache, "MAX_ENCODED_BYTES", 0)
    return image_folder(tmp_path / "data", {"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 2})


def fingerprint(path) -> DataFingerprint:
    return DataFingerprint.of(*open_source(Source("mine", str(path))))


def files_of(path, split) -> list:
    return sorted(file for file in (path / split).rglob("*.png"))


def rename(path):
    file = files_of(path, "train/cat")[0]
    file.rename(file.with_name(f"zz{file.name}"))


def change_class(path):
    file = files_of(path, "train/cat")[0]
    file.rename(path / "train" / "dog" / f"other-{file.name}")


def replace_pixels(path):
    first, second = files_of(path, "train")[:2]
    first.write_bytes(second.read_bytes())


def add(path):
    file = files_of(path, "val/dog")[0]
    file.with_name("new.png").write_bytes(file.read_bytes())


CHANGES = [
    (replace_pixels, ("1 training image was modified ('cat/",)),
    (add, ("1 evaluation image was added ('dog/new.png')",)),
    (rename, ("1 training image was removed", "1 training image was added ('cat/zz")),
    (change_class, ("1 training image was removed ('cat/", "1 training image was added ('dog/other-")),
    (lambda path: files_of(path, "val/dog")[0].unlink(), ("1 evaluation image was removed ('dog/",)),
]


# Images in memory have the names of their files too, so that a change of pixels and one of names are enough for them.
@pytest.mark.parametrize(
    ("folder", "change", "found"),
    [
        *(("files", *change) for change in CHANGES),
        ("cached", *CHANGES[0]),
        pytest.param("cached", *CHANGES[1], marks=pytest.mark.slow),
    ],
    indirect=["folder"],
)
def test_changes_of_folders_are_counted_and_named(change, found, folder):
    before = fingerprint(folder)
    change(folder)
    text = before.changes(fingerprint(folder))
    assert all(part in text for part in found), text


def test_a_moved_folder_has_not_changed(folder, tmp_path):
    before = fingerprint(folder)
    folder.rename(tmp_path / "moved")
    assert before.changes(fingerprint(tmp_path / "moved")) == ""


def test_a_file_of_the_same_size_is_recognized_by_its_time(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"1234")
    data = EncodedImages([str(path)], np.zeros(1, "int64"), ("a",))
    before = DataFingerprint.of(data, arrays())
    os.utime(path, ns=(0, 5))
    assert "1 training image was modified ('a.png')" in before.changes(DataFingerprint.of(data, arrays()))
    path.unlink()
    assert "modified" in before.changes(DataFingerprint.of(data, arrays()))


def test_files_have_the_digests_that_earlier_runs_have_saved(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"1234")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    data = EncodedImages([str(path), str(tmp_path / "missing.png")], np.zeros(2, "int64"), ("a",))
    digests = SplitFingerprint.of(data).digests
    expected = [hashlib.blake2b(text, digest_size=8).digest() for text in (b"4 1700000000123456789", b"")]
    assert digests.tobytes() == b"".join(expected)


def test_a_fingerprint_takes_little_memory_beyond_its_names(tmp_path):
    count = 20_000
    names = [f"{tmp_path}/class_{index % 100:03}/image_{index:06}.png" for index in range(count)]
    data = EncodedImages(names, np.zeros(count, "int64"), ("a",))
    tracemalloc.start()
    before = SplitFingerprint.of(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    name_bytes = len("class_000/image_000000.png")
    assert peak / count < 2 * name_bytes + 60
    assert list(before.changes(SplitFingerprint.of(data), "training")) == []


def test_streams_are_identified_by_version_and_length():
    def stream(name, count):
        return RecordImages(tf.data.Dataset.range(count), count, 10, ("a", "b"), name)

    before = stream("tfds/pets:1.0.0 train", 5)
    assert changes(before, stream("tfds/pets:1.0.0 train", 5)) == ""
    found = "the training images were 5 images of tfds/pets:1.0.0 train and are 6 images of tfds/pets:1.1.0 train"
    assert changes(before, stream("tfds/pets:1.1.0 train", 6)) == found
    assert changes(before, arrays()).endswith("and are in memory")


@pytest.mark.parametrize("folder", ["files"], indirect=True)
def test_a_fingerprint_is_read_as_it_was_written(tmp_path, folder):
    written = fingerprint(folder)
    written.write(tmp_path / "data.npz")
    read = DataFingerprint.read(tmp_path / "data.npz")
    assert written.changes(read) == read.changes(written) == ""
    assert read.splits[0].names == written.splits[0].names
    assert read.class_names == ("cat", "dog")


@pytest.mark.parametrize("key", ["class_names", "train_labels", "evaluation_names"])
def test_a_damaged_fingerprint_is_one_error(key, tmp_path):
    path, named = tmp_path / "data.npz", dataclasses.replace(arrays(), names=["1.png", "2.png", "3.png", "4.png"])
    DataFingerprint.of(named, named).write(path)
    with np.load(path) as content:
        stored = dict(content)
    for damaged in ({**stored, key: np.zeros((2, 2))}, {name: stored[name] for name in stored if name != key}):
        if key == "class_names" and key in damaged:
            continue
        np.savez(path, **damaged)
        with pytest.raises(InputError, match=r"data.npz' is not a fingerprint of data.* Remove it"):
            DataFingerprint.read(path)


def test_hosts_with_copies_share_names_labels_and_what_is_in_memory(tmp_path):
    def facts(data: ImageSet) -> dict[str, str]:
        return shared_facts(DataFingerprint.of(data, data), data, data)

    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name in names:
        Path(name).touch()
    files = EncodedImages(names, np.array([0, 1]), ("a", "b"))
    before = facts(files)
    os.utime(names[0], (1, 1))
    assert facts(files) == before
    assert facts(dataclasses.replace(files, labels=np.array([1, 0]))) != before
    assert facts(dataclasses.replace(files, class_names=("a", "c"))) != before
    assert facts(dataclasses.replace(files, names=[names[0], str(tmp_path / "c.png")])) != before
    pixels = LabeledImages(np.zeros((2, 1, 1, 1), "uint8"), np.array([0, 1]), ("a", "b"))
    assert facts(pixels) != facts(dataclasses.replace(pixels, images=pixels.images + np.uint8(1)))
