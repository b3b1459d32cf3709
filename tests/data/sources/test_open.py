import pytest
from fixtures.images import image_folder

import keras_cct
from keras_cct.data.sources.open import open_data, open_source, source_named
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def test_the_sample_needs_no_folder():
    train, evaluation = open_data(keras_cct.load_recipe("sample"))
    assert (len(train), len(evaluation)) == (5000, 1000)


def test_a_folder_is_opened_whatever_the_name(tmp_path):
    image_folder(tmp_path, {"train/cat": 2, "val/cat": 1})
    for dataset in ("cifar10", "sample", "mine"):
        recipe = keras_cct.Recipe("cct_2_3x2_32", dataset, data_dir=str(tmp_path))
        assert open_data(recipe)[0].class_names == ("cat",)


def test_a_wrong_number_of_classes_is_refused():
    recipe = keras_cct.load_recipe("sample", num_classes=7)
    message = "num_classes=7, but the images have 10 classes. Set num_classes to 10, or to 0 for that of the images."
    with pytest.raises(InputError, match=message):
        open_data(recipe)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("pets"), "dataset='pets' is unknown. Choose sample, cifar10, "),
        (
            Source("pets", "nowhere"),
            "data_dir='nowhere' does not exist. Give a folder of images or of IDX files, or an",
        ),
        (Source("pets", "README.md"), "data_dir='README.md' is neither a folder nor an .npz file."),
    ],
)
def test_unknown_sources_are_refused_with_the_choices(source, message):
    with pytest.raises(InputError) as error:
        open_source(source)
    assert message in str(error.value)


def test_a_name_on_the_command_line_is_a_path_or_a_data_set(tmp_path):
    assert source_named(str(tmp_path)) == Source(tmp_path.name, str(tmp_path))
    assert source_named("not/there") == Source("there", "not/there")
    for name in ("sample", "cifar10", "tfds/cifar10", "tfds/cats_vs_dogs/4.0.0", "keras/mnist"):
        assert source_named(name) == Source(name)
