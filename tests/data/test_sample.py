import numpy as np
import pytest

import keras_cct


@pytest.mark.parametrize(("split", "per_class"), [("train", 500), ("test", 100)])
def test_sample_has_the_same_number_of_images_per_class(split, per_class):
    data = keras_cct.load_sample(split)
    assert np.bincount(data.labels).tolist() == [per_class] * 10
    assert data.images.shape == (10 * per_class, 28, 28, 1)
    assert data.images.dtype == "uint8"
    assert len(data.class_names) == 10


def test_sample_splits_share_no_image():
    train, test = ({image.tobytes() for image in keras_cct.load_sample(split).images} for split in ("train", "test"))
    assert not train & test


def test_recipe_normalizes_with_the_statistics_of_the_full_dataset():
    # The statistics of the sample differ from those of the full dataset by less than 0.01.
    recipe, images = keras_cct.load_recipe("sample"), keras_cct.load_sample("train").images / 255
    assert recipe.mean[0] == pytest.approx(images.mean(), abs=0.01)
    assert recipe.std[0] == pytest.approx(images.std(), abs=0.01)


def test_unknown_split_is_rejected():
    with pytest.raises(keras_cct.InputError, match="unknown split 'val' .*train, test"):
        keras_cct.load_sample("val")
