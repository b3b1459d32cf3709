import numpy as np
import pytest

from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype="uint8")
ARRAYS = {"x_train": IMAGES, "y_train": np.array([0, 1, 2, 1]), "x_test": IMAGES[:2], "y_test": np.array([2, 0])}


def write_and_open(folder, arrays):
    np.savez(folder / "mine.npz", **arrays)
    return open_source(Source("mine", str(folder / "mine.npz")))


def test_arrays_with_keras_names_are_read(tmp_path):
    train, test = write_and_open(tmp_path, ARRAYS | {"y_test": np.array([[2], [0]], "uint8")})
    np.testing.assert_array_equal(train.images, IMAGES)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 1], [2, 0])
    assert train.labels.dtype == test.labels.dtype == "int64"
    assert test.class_names == ("0", "1", "2")


def test_arrays_with_the_names_of_the_sample_are_read(tmp_path):
    names = {"x": "images", "y": "labels"}
    arrays = {f"{key[2:]}_{names[key[0]]}": value for key, value in ARRAYS.items()}
    arrays |= {"train_images": IMAGES[..., 0], "test_images": IMAGES[:2, ..., 0]}
    assert write_and_open(tmp_path, arrays)[0].image_shape == (6, 5, 1)


def test_class_names_in_the_file_are_used(tmp_path, caplog):
    names = np.array(["ant", "bee", "cat", "dog"])
    assert write_and_open(tmp_path, ARRAYS | {"class_names": names})[0].class_names == ("ant", "bee", "cat", "dog")
    assert "1 of 4 classes have no training images" in caplog.text
    assert "'dog'" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": IMAGES / 255}, "x_train in '{path}' is float64 of shape (4, 6, 5, 3). Convert it to uint8"),
        ({"x_train": np.zeros((4, 3, 28, 28), "uint8")}, "(4, 3, 28, 28), which looks like (images, channels, height"),
        ({"x_train": IMAGES[0, 0]}, "x_train in '{path}' is uint8 of shape (5, 3)"),
        ({"y_train": np.eye(4)}, "y_train in '{path}' is float64 of shape (4, 4)"),
        ({"y_train": np.array([0, 1])}, "'{path}' has 2 labels for 4 images"),
        ({"y_test": np.array([0, 3])}, "label 3 in '{path}' is not in [0, 2]"),
        ({"y_test": np.array([0, -1])}, "label -1 in '{path}' is not in [0, 2]"),
        ({"y_train": np.array([0, -1, 2, 1])}, "label -1 in '{path}' is not in [0, 3]"),
        ({"y_train": np.array([0, 1, 3, 1])}, "class 2 of 4 has no images in '{path}'"),
        ({"y_train": np.array([0, 1, 10**9, 1])}, "label 1000000000 in '{path}' is not in [0, 3]"),
        ({"y_train": np.array([0, 1, 2**63 - 1, 1])}, "label 9223372036854775807 in '{path}' is not in [0, 3]"),
        ({"y_test": np.array([0, 2**63], "uint64")}, "label 9223372036854775808 in '{path}' is not in [0, 2]"),
        ({"x_test": IMAGES[:2, 1:]}, "'{path}' has training images of shape (6, 5, 3) and test images of shape (5, 5"),
        ({"class_names": np.array(["a", "b"])}, "label 2 in '{path}' is not in [0, 1]"),
        ({"x_test": IMAGES[:0], "y_test": np.array([], int)}, "'{path}' has no images"),
    ],
)
def test_invalid_arrays_are_rejected_by_name(change, message, tmp_path):
    with pytest.raises(InputError) as error:
        write_and_open(tmp_path, ARRAYS | change)
    assert message.format(path=tmp_path / "mine.npz") in str(error.value)


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(InputError, match="x_train, but not x_train and y_train or train_images and train_labels"):
        write_and_open(tmp_path, {"x_train": IMAGES})


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_corrupted_file_is_rejected(content, tmp_path):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(InputError, match="mine.npz' is not an .npz file"):
        open_source(Source("mine", str(tmp_path / "mine.npz")))


def test_pickled_arrays_are_rejected(tmp_path):
    with pytest.raises(InputError, match="contains pickled objects"):
        write_and_open(tmp_path, ARRAYS | {"y_train": np.array([0, None, 2, 1], dtype=object)})
