"""What of a folder is left out or warned about, and which class an image has."""

import numpy as np
import pytest
from fixtures.images import encoded, image_folder, photo, photos_in

from keras_cct.data import survey
from keras_cct.data.sources.open import open_evaluation, open_source
from keras_cct.data.sources.scan import scan_images
from keras_cct.data.sources.source import Source
from keras_cct.data.survey import survey_files
from keras_cct.data.survey_index import SurveyIndex
from keras_cct.errors import InputError


def open_pets(folder, **keys):
    return open_source(Source("pets", str(folder), **keys))


def warnings_in(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_unreadable_images_are_left_out_and_named_once(tmp_path, caplog):
    image_folder(tmp_path, {"train/cat": 20, "val/cat": 2})
    for number in range(12):
        (tmp_path / f"train/cat/broken{number}.webp").write_text("no image")
    train, _ = open_pets(tmp_path)
    assert len(train) == 20
    (warning,) = warnings_in(caplog)
    assert "left out 12 of 32 images that cannot be read" in warning
    assert "broken0.webp'" in warning
    assert warning.endswith(", ...")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat/1.png", "cat/2.png", "dog/1.jpg"], "no image of class 'dog' can be read: '{folder}/train/dog/1.jpg'"),
        (["cat/1.png", "cat/2.jpg", "dog/1.jpg"], "2 of 3 images cannot be read"),
    ],
)
def test_classes_without_readable_images_are_an_error(names, message, tmp_path):
    image_folder(tmp_path, {"val/cat": 2})
    photos_in(tmp_path / "train", names)
    for name in names:
        if name.endswith(".jpg"):
            (tmp_path / "train" / name).write_bytes(b"\xff\xd8\xff no image")
    with pytest.raises(InputError) as error:
        open_pets(tmp_path)
    assert message.format(folder=tmp_path) in str(error.value)


def test_evaluation_images_may_lose_a_class(tmp_path, caplog):
    image_folder(tmp_path, {"train/cat": 3, "val/cat": 3, "train/dog": 3})
    photos_in(tmp_path / "val" / "dog", ["0.jpg"])
    (tmp_path / "val/dog/0.jpg").write_bytes(b"\xff\xd8\xff no image")
    _, evaluation = open_pets(tmp_path)
    assert (len(evaluation), evaluation.class_names) == (3, ("cat", "dog"))
    assert "left out 1 of 4 images that cannot be read" in caplog.text
    assert len(open_evaluation(Source("pets", str(tmp_path)))) == 3


def test_the_same_pixels_in_both_splits_are_a_warning(tmp_path, caplog):
    image_folder(tmp_path, {"train/cat": 3, "val/cat": 1, "train/dog": 1, "val/dog": 1})
    for name in ("train/cat/0.png", "val/cat/copy.bmp", "val/dog/copy.tiff"):
        file_format = {"png": "PNG", "bmp": "BMP", "tiff": "TIFF"}[name.rsplit(".", 1)[1]]
        (tmp_path / name).write_bytes(encoded(photo(20, 20, phase=0.5), file_format))
    (tmp_path / "val/cat/0.png").write_bytes(encoded(photo(20, 20, phase=0.7), "PNG"))
    (tmp_path / "val/dog/0.png").write_bytes(encoded(photo(20, 20, phase=0.8), "PNG"))
    open_pets(tmp_path)
    duplicates, relabeled = warnings_in(caplog)
    assert "2 of 4 evaluation images have the same pixels as a training image" in duplicates
    assert f"{str(tmp_path / 'val/cat/copy.bmp')!r} and {str(tmp_path / 'train/cat/0.png')!r}" in duplicates
    assert "1 of these pairs have different classes" in relabeled


def test_other_files_are_counted_by_kind_in_one_warning(tmp_path, caplog):
    photos_in(tmp_path, ["cat/1.png"])
    for name in ("a.heic", "b.HEIC", "notes.txt", "raw", ".hidden"):
        (tmp_path / "cat" / name).touch()
    assert len(scan_images(tmp_path)) == 1
    (warning,) = warnings_in(caplog)
    assert "left out 4 files not named like images (2 .heic, 1 .txt, 1 no suffix)" in warning


def test_label_depth_selects_the_folder_that_names_the_class(tmp_path, caplog):
    photos_in(tmp_path, ["red/small/1.png", "red/big/1.png", "blue/small/1.png"])
    assert [name for _, name in scan_images(tmp_path)] == ["small", "big", "small"]
    (warning,) = warnings_in(caplog)
    assert "'blue/small' and 'red/small'" in warning
    assert "set label_depth to 1" in warning
    caplog.clear()
    assert [name for _, name in scan_images(tmp_path, 1)] == ["blue", "red", "red"]
    assert [name for _, name in scan_images(tmp_path, 2)] == ["small", "big", "small"]
    assert warnings_in(caplog) == []


def test_classes_that_differ_only_in_case_are_named(tmp_path, caplog):
    photos_in(tmp_path, ["Cat/1.png", "cat/1.png"])
    assert {name for _, name in scan_images(tmp_path)} == {"Cat", "cat"}
    assert "the classes 'Cat' and 'cat' differ only in case" in caplog.text


def test_too_many_classes_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_cct.data.sources.scan.MAX_CLASSES", 2)
    image_folder(tmp_path, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(InputError, match="3 classes for 3 images, more than 2. .*label_depth"):
        scan_images(tmp_path)


def test_surveys_are_cached_until_a_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(survey, "MIN_CACHED_BYTES", 1)
    image_folder(tmp_path / "data", {"cat": 2})
    (tmp_path / "data/cat/x.png").write_text("no image")
    paths = sorted(map(str, (tmp_path / "data/cat").iterdir()))
    first = survey_files(paths)
    assert first.readable.tolist() == [True, True, False]
    assert first.sizes.tolist() == [[20, 20], [20, 20], [0, 0]]
    pixels = np.stack([photo(20, 20, phase=phase) for phase in (0, 1)]) / 255
    np.testing.assert_allclose(first.mean_and_std(), [pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))], atol=1e-12)
    monkeypatch.setattr(survey, "_recent", SurveyIndex())
    monkeypatch.setattr(survey, "_measure", lambda paths: pytest.fail("not cached"))
    np.testing.assert_array_equal(survey_files(paths).fingerprints, first.fingerprints)
    (cache,) = (tmp_path / "home").rglob("*.npz")
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(survey, "MIN_CACHED_BYTES", 1)
    monkeypatch.setattr(survey, "_recent", SurveyIndex())
    cache.write_bytes(b"damaged")
    assert survey_files(paths).readable.tolist() == [True, True, False]
    (tmp_path / "data/cat/x.png").write_bytes(encoded(photo(), "PNG"))
    assert survey_files(paths).readable.all()
