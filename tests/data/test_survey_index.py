"""The index of a run: unchanged images are not read again, and it never changes results."""

import dataclasses
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from fixtures.images import encoded, image_folder, photo

from keras_cct.data import survey
from keras_cct.data.file_stamps import file_stamps
from keras_cct.data.sources.open import open_data
from keras_cct.data.survey_index import Survey, SurveyIndex, file_keys
from keras_cct.recipe.recipe import Recipe


@pytest.fixture
def folder(tmp_path):
    """Twelve images in two classes."""
    return image_folder(tmp_path / "photos", {"cat": 6, "dog": 6})


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the images that are read to survey them. They are not decoded, and count as readable."""
    found = []

    def measure(paths):
        found.extend(Path(path).name for path in paths)
        hashes = np.array([zlib.crc32(path.encode()) for path in paths], "uint64")
        sizes = np.stack([hashes, hashes], axis=1).astype("int64")  # different, so that they are not cached decoded
        blank = Survey.blank(len(paths))
        return dataclasses.replace(blank, readable=np.ones(len(paths), "bool"), sizes=sizes, fingerprints=hashes)

    monkeypatch.setattr(survey, "_measure", measure)
    return found


def open_in_new_process(folder, index=None):
    survey._recent._used.clear()
    return open_data(Recipe("cvt_2_4_32", "pets", data_dir=str(folder)), None, index)


def open_with_index(folder, path):
    """Opens the images as a run does, which saves its index."""
    index = SurveyIndex.read(path)
    splits = open_in_new_process(folder, index)
    index.write(path)
    return splits


def contents(splits) -> list:
    return [(list(data.names), data.labels.tolist(), data.class_names) for data in splits]


def test_unchanged_images_are_not_read_again(folder, reads, tmp_path):
    path = tmp_path / "index.npz"
    first = open_with_index(folder, path)
    assert len(reads) == 12
    for _ in range(2):
        assert contents(open_with_index(folder, path)) == contents(first)
    assert len(reads) == 12


def touch(path):
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def append_a_byte(path):
    time = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(time, time))


def replace_by_an_older_file(path):
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(0, 10**18))
    other.replace(path)


@pytest.mark.parametrize("change", [touch, append_a_byte, replace_by_an_older_file])
def test_a_changed_image_is_read_again(change, folder, reads, tmp_path):
    open_with_index(folder, tmp_path / "index.npz")
    reads.clear()
    change(folder / "dog/5.png")
    open_with_index(folder, tmp_path / "index.npz")
    assert reads == ["5.png"]


def test_an_image_that_is_damaged_later_is_left_out(folder, tmp_path, caplog):
    open_with_index(folder, tmp_path / "index.npz")
    (folder / "dog/1.png").write_text("no image")
    splits = open_with_index(folder, tmp_path / "index.npz")
    assert sum(map(len, splits)) == 11
    assert "left out 1 of " in caplog.text


def test_deleted_images_leave_the_index(folder, reads, tmp_path):
    path = tmp_path / "index.npz"
    open_with_index(folder, path)
    (folder / "dog/5.png").unlink()
    assert sum(map(len, open_with_index(folder, path))) == 11
    assert len(reads) == 12
    with np.load(path) as arrays:
        assert len(arrays["keys"]) == 11


def test_an_index_changes_neither_images_nor_warnings(tmp_path, caplog):
    folder = image_folder(tmp_path / "photos", {"train/cat": 3, "train/dog": 3, "val/cat": 2, "val/dog": 2})
    for name in ("train/cat/copy.png", "val/dog/copy.bmp"):
        file_format = name[-3:].upper()
        (folder / name).write_bytes(encoded(photo(20, 21, phase=0.5), file_format))
    (folder / "train/dog/broken.png").write_text("no image")
    results = []
    for _ in range(3):
        results.append((contents(open_with_index(folder, tmp_path / "index.npz")), caplog.messages.copy()))
        caplog.clear()
    results.append((contents(open_in_new_process(folder)), caplog.messages.copy()))
    assert len(results[0][1]) == 3  # unreadable, in both splits, in different classes
    assert results[1:] == results[:1] * 3


def arrays_of_an_index(**changes):
    survey = Survey.blank(3)
    return {"keys": np.arange(3, dtype="uint64"), **survey.columns(), **changes}


@pytest.mark.parametrize(
    "arrays",
    [
        None,
        {"other": np.zeros(3)},
        arrays_of_an_index(sizes=np.zeros((2, 2), "int64")),
        arrays_of_an_index(readable=np.zeros(3, "int64")),
        arrays_of_an_index(keys=np.array(["a", None], object)),
    ],
    ids=["not an archive", "other arrays", "shape", "type", "pickled"],
)
def test_a_damaged_index_is_ignored_with_one_warning(arrays, folder, reads, tmp_path, caplog):
    path = tmp_path / "index.npz"
    if arrays is None:
        path.write_bytes(b"damaged")
    else:
        np.savez(path, **arrays)
    open_with_index(folder, path)
    assert len(reads) == 12
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert f"the index of images {str(path)!r} is ignored" in warning
    open_with_index(folder, path)
    assert len(reads) == 12


def test_the_index_of_other_images_is_not_used(folder, reads, tmp_path):
    other = image_folder(tmp_path / "other", {"cat": 6, "dog": 6})
    open_with_index(other, tmp_path / "index.npz")
    reads.clear()
    open_with_index(folder, tmp_path / "index.npz")
    assert len(reads) == 12


def test_surveys_are_found_in_any_order_and_part(folder):
    paths = sorted(map(str, folder.rglob("*.png")))
    keys = file_keys(paths, file_stamps(paths))
    index, expected = SurveyIndex(), survey.survey_files(paths)
    assert expected is not None
    for rows in ([5, 3, 4], [0, 2, 1], [11]):
        index.add(keys[rows], expected.rows(np.array(rows)))
    is_known, found = index.find(keys[::-1])
    assert is_known[::-1].nonzero()[0].tolist() == [0, 1, 2, 3, 4, 5, 11]
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(getattr(found, name)[is_known], column[::-1][is_known])
        assert not getattr(found, name)[~is_known].any()


def test_keys_are_compared_exactly():
    index = SurveyIndex()
    index.add(np.array([2**64 - 5, 7], "uint64"), Survey.blank(2))
    is_known, _ = index.find(np.array([2**64 - 1, 2**64 - 5, 2**64 - 6, 0, 7], "uint64"))
    assert is_known.tolist() == [False, True, False, False, True]


def test_an_index_takes_less_than_100_bytes_per_file(tmp_path):
    count = 20_000
    index = SurveyIndex()
    index.add(np.arange(count, dtype="uint64"), Survey.blank(count))
    index.write(tmp_path / "index.npz")
    assert (tmp_path / "index.npz").stat().st_size < 100 * count
