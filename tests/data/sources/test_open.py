import numpy as np
import pytest
from fixtures.images import image_folder

import keras_cct
from keras_cct.data.sources.open import open_data, open_source
from keras_cct.data.sources.source import Source, parse_source
from keras_cct.errors import InputError


def test_sample_needs_no_folder():
    train, evaluation = open_data(keras_cct.load_recipe("sample"))
    assert (len(train), len(evaluation)) == (5000, 1000)


def test_data_dir_is_opened_for_any_dataset_name(tmp_path):
    image_folder(tmp_path, {"train/cat": 2, "train/dog": 1, "val/cat": 1})
    recipe = keras_cct.Recipe("cct_2_3x2_32", "cifar10", data_dir=str(tmp_path))
    assert open_data(recipe)[0].class_names == ("cat", "dog")


def test_one_class_is_rejected(tmp_path):
    pixels, labels = np.zeros((3, 4, 4), "uint8"), np.zeros(3, "int64")
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels}
    np.savez(tmp_path / "pets.npz", class_names=["cat"], **arrays)
    recipe = keras_cct.Recipe("cct_2_3x2_32", "pets", data_dir=str(tmp_path / "pets.npz"))
    with pytest.raises(InputError, match="have the class 'cat'. A classifier needs two classes or more"):
        open_data(recipe)


def test_wrong_number_of_classes_is_rejected():
    recipe = keras_cct.load_recipe("sample", num_classes=7)
    with pytest.raises(InputError, match="num_classes=7, but the images have 10 classes. Set num_classes to 10"):
        open_data(recipe)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("pets"), "unknown dataset 'pets', and no such file or folder. Choose sample, cifar10, "),
        (Source("pets", "nowhere"), "data_dir='nowhere' does not exist."),
        (Source("pets", "README.md"), "data_dir='README.md' is neither a folder nor an .npz file."),
    ],
)
def test_unknown_sources_are_rejected_with_the_choices(source, message):
    with pytest.raises(InputError) as error:
        open_source(source)
    assert message in str(error.value)


def test_name_is_parsed_as_a_path_or_a_dataset(tmp_path):
    assert parse_source(str(tmp_path)) == Source(tmp_path.name, str(tmp_path))
    assert parse_source("not/there") == Source("there", "not/there")
    for name in ("sample", "cifar10", "tfds/cifar10", "tfds/cats_vs_dogs/4.0.0", "keras/mnist"):
        assert parse_source(name) == Source(name)
