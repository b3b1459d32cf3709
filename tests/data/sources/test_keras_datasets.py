import urllib.error

import keras
import numpy as np
import pytest

from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

IMAGES = np.zeros((4, 32, 32, 3), "uint8")


def test_keras_dataset_is_read(monkeypatch):
    arrays = (IMAGES, np.array([[0], [1], [2], [3]], "uint8")), (IMAGES[:1], np.array([[3]], "uint8"))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: arrays)
    train, test = open_source(Source("keras/cifar10"))
    assert (train.image_shape, train.labels.tolist(), test.labels.tolist()) == ((32, 32, 3), [0, 1, 2, 3], [3])


def test_huge_labels_are_rejected(monkeypatch):
    arrays = (IMAGES, np.array([0, 1, 2, 10**9])), (IMAGES[:1], np.array([0]))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: arrays)
    with pytest.raises(InputError, match="label 1000000000 in 'keras/cifar10'"):
        open_source(Source("keras/cifar10"))


def test_failed_download_is_reported_in_one_line(monkeypatch):
    def fail():
        try:
            raise urllib.error.URLError("no network")
        finally:
            raise Exception("URL fetch failure on https://example.org: None -- no network")  # as Keras raises it

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(InputError, match="cannot download 'keras/mnist': URL fetch failure on .* no network."):
        open_source(Source("keras/mnist"))


def test_other_errors_are_not_converted(monkeypatch):
    def fail():
        raise KeyError("a defect")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(KeyError, match="a defect"):
        open_source(Source("keras/mnist"))


def test_unknown_datasets_and_folders_are_rejected():
    with pytest.raises(InputError, match="unknown dataset 'keras/imdb'.* cifar10, cifar100, fashion_mnist, mnist"):
        open_source(Source("keras/imdb"))
    with pytest.raises(InputError, match="data_dir='here' has no effect with dataset='keras/mnist'"):
        open_source(Source("keras/mnist", "here"))
