import numpy as np
import pytest

from keras_cct.data.sources.arrays import check_labels, check_lengths, count_classes, names_of_classes
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def test_known_sets_have_names_and_others_numbers():
    assert names_of_classes("cifar10", 10)[:2] == ("airplane", "automobile")
    assert names_of_classes("cifar10", 3) == names_of_classes("mine", 3) == ("0", "1", "2")


def test_classes_are_counted():
    assert count_classes(np.array([1, 0, 2, 1]), "file") == 3


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: count_classes(np.array([0, 2]), "file"), "class 1 of 3 has no images in 'file'"),
        (lambda: count_classes(np.array([0, -2]), "file"), "label -2 in 'file' is out of range"),
        (lambda: check_labels(np.array([0, 3]), 3, "file"), "label 3 in 'file' is out of range: the training images"),
        (lambda: check_lengths(3, 2, "file"), "'file' has 2 labels for 3 images."),
        (lambda: check_lengths(0, 0, "file"), "'file' has no images."),
    ],
)
def test_labels_that_make_no_sense_are_named_with_their_file(check, message):
    with pytest.raises(InputError, match=message):
        check()


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype="uint8")
ARRAYS = {"x_train": IMAGES, "y_train": np.array([0, 1, 2, 1]), "x_test": IMAGES[:2], "y_test": np.array([2, 0])}


def opened(folder, arrays):
    np.savez(folder / "mine.npz", **arrays)
    return open_source(Source("mine", str(folder / "mine.npz")))


def test_arrays_named_as_in_keras_are_read(tmp_path):
    train, test = opened(tmp_path, ARRAYS | {"y_test": np.array([[2], [0]], "uint8")})
    np.testing.assert_array_equal(train.images, IMAGES)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 1], [2, 0])
    assert test.class_names == ("0", "1", "2")


def test_arrays_named_as_in_the_sample_are_read(tmp_path):
    names = {"x": "images", "y": "labels"}
    arrays = {f"{key[2:]}_{names[key[0]]}": value for key, value in ARRAYS.items()}
    arrays |= {"train_images": IMAGES[..., 0], "test_images": IMAGES[:2, ..., 0]}
    assert opened(tmp_path, arrays)[0].image_shape == (6, 5, 1)


def test_class_names_can_be_given(tmp_path):
    names = np.array(["ant", "bee", "cat", "dog"])
    assert opened(tmp_path, ARRAYS | {"class_names": names})[0].class_names == ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": IMAGES / 255}, "x_train in '{path}' is float64 of shape (4, 6, 5, 3). Make it uint8"),
        ({"x_train": np.zeros((4, 3, 28, 28), "uint8")}, "(4, 3, 28, 28), which looks like (images, channels, height"),
        ({"x_train": IMAGES[0, 0]}, "x_train in '{path}' is uint8 of shape (5, 3)"),
        ({"y_train": np.eye(4)}, "y_train in '{path}' is float64 of shape (4, 4). Make it integers of shape (images,)"),
        ({"y_train": np.array([0, 1])}, "'{path}' has 2 labels for 4 images. Give one label per image."),
        ({"y_test": np.array([0, 3])}, "label 3 in '{path}' is out of range: the training images have classes 0 to 2"),
        ({"y_test": np.array([0, -1])}, "label -1 in '{path}' is out of range"),
        ({"y_train": np.array([0, -1, 2, 1])}, "label -1 in '{path}' is out of range. Number the classes from 0."),
        ({"y_train": np.array([0, 1, 3, 1])}, "class 2 of 4 has no images in '{path}'"),
        ({"x_test": IMAGES[:2, 1:]}, "the training images in '{path}' are (6, 5, 3), the test images (5, 5, 3)"),
        ({"class_names": np.array(["a", "b"])}, "label 2 in '{path}' is out of range"),
        ({"x_test": IMAGES[:0], "y_test": np.array([], int)}, "'{path}' has no images"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, message, tmp_path):
    with pytest.raises(InputError) as error:
        opened(tmp_path, ARRAYS | change)
    assert message.format(path=tmp_path / "mine.npz") in str(error.value)


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(InputError, match="has arrays x_train, but not x_train and y_train or train_images and train_l"):
        opened(tmp_path, {"x_train": IMAGES})


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_a_broken_file_is_named(content, tmp_path):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(InputError, match="mine.npz' is not a whole .npz file of plain arrays. Give another."):
        open_source(Source("mine", str(tmp_path / "mine.npz")))


def test_pickled_arrays_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a whole .npz file of plain arrays"):
        opened(tmp_path, ARRAYS | {"y_train": np.array([0, None, 2, 1], dtype=object)})
