import numpy as np
import pytest

from keras_cct.data.sources.numbered_labels import check_labels, check_lengths, count_classes, names_of_classes
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
