import numpy as np
import pytest

from keras_cct.data.sources.labels import (
    check_labels,
    check_lengths,
    count_classes,
    default_class_names,
    warn_about_empty_classes,
)
from keras_cct.errors import InputError


def test_classes_are_counted():
    assert count_classes(np.array([1, 0, 2, 1]), "file") == 3
    assert count_classes(np.array([1, 0], "uint64"), "file") == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 2, 2]), "class 1 of 3 has no images in 'file'"),
        (np.array([0, -2]), "label -2 in 'file' is not in [0, 1]"),
        (np.array([0, 2]), "label 2 in 'file' is not in [0, 1]"),
    ],
)
def test_labels_with_gaps_are_rejected(labels, message):
    with pytest.raises(InputError) as error:
        count_classes(labels, "file")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("label", "dtype"),
    [(10**9, "int64"), (2**62, "int64"), (2**63 - 1, "int64"), (2**63 - 1, "uint64"), (2**64 - 1, "uint64")],
)
def test_huge_labels_are_rejected_before_memory_is_allocated(label, dtype, monkeypatch):
    monkeypatch.setattr(np, "bincount", lambda *_, **__: pytest.fail("bincount must not see unchecked labels"))
    labels = np.array([0, label], dtype)
    with pytest.raises(InputError, match=rf"label {label} in 'file' is not in \[0, 1\]"):
        count_classes(labels, "file")
    with pytest.raises(InputError, match=rf"label {label} in 'file' is not in \[0, 2\]"):
        check_labels(labels, 3, "file")


def test_labels_out_of_range_are_rejected_with_their_file():
    check_labels(np.array([0, 2]), 3, "file")
    with pytest.raises(InputError, match=r"label 3 in 'file' is not in \[0, 2\]"):
        check_labels(np.array([0, 3]), 3, "file")


@pytest.mark.parametrize(
    ("num_images", "num_labels", "message"),
    [(3, 2, "'file' has 2 labels for 3 images"), (0, 0, "'file' has no images")],
)
def test_wrong_numbers_of_labels_are_rejected(num_images, num_labels, message):
    with pytest.raises(InputError, match=message):
        check_lengths(num_images, num_labels, "file")


def test_classes_without_training_images_are_a_warning(caplog):
    warn_about_empty_classes(np.array([0, 2]), ["ant", "bee", "cat"], "file")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "1 of 3 classes have no training images in file, the first is 'bee'"


def test_no_warning_if_every_class_has_images(caplog):
    warn_about_empty_classes(np.array([0, 1]), ["ant", "bee"], "file")
    assert caplog.records == []


def test_class_names_default_to_published_names_and_then_to_numbers():
    assert default_class_names("cifar10", 10)[:2] == ("airplane", "automobile")
    assert default_class_names("oxford_flowers102", 102)[0] == "pink primrose"
    assert default_class_names("cifar10", 3) == default_class_names("mine", 3) == ("0", "1", "2")
