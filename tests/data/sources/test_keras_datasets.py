import urllib.error

import keras
import numpy as np
import pytest

from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError

IMAGES = np.zeros((4, 32, 32, 3), "uint8")


def test_a_set_of_keras_is_read(monkeypatch):
    arrays = (IMAGES, np.array([[0], [1], [2], [3]], "uint8")), (IMAGES[:1], np.array([[3]], "uint8"))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: arrays)
    train, test = open_source(Source("keras/cifar10"))
    assert (train.image_shape, train.labels.tolist(), test.labels.tolist()) == ((32, 32, 3), [0, 1, 2, 3], [3])


def test_a_failed_download_is_one_line(monkeypatch):
    def fail():
        try:
            raise urllib.error.URLError("no network")
        finally:
            raise Exception("URL fetch failure on https://example.org: None -- no network")  # as Keras does

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(InputError, match="'keras/mnist' cannot be downloaded: URL fetch failure on .* no network. Try"):
        open_source(Source("keras/mnist"))


def test_other_errors_stay_what_they_are(monkeypatch):
    def fail():
        raise KeyError("a defect")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(KeyError, match="a defect"):
        open_source(Source("keras/mnist"))


def test_unknown_sets_and_folders_are_refused():
    with pytest.raises(InputError, match="dataset='keras/imdb' is unknown. Choose keras/ with one of cifar10, cifar"):
        open_source(Source("keras/imdb"))
    with pytest.raises(InputError, match="dataset='keras/mnist' takes no data_dir='here'"):
        open_source(Source("keras/mnist", "here"))
