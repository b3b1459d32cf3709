import numpy as np
import pytest

import keras_cct


@pytest.mark.parametrize(("split", "per_class"), [("train", 500), ("test", 100)])
def test_sample_has_as_many_images_of_each_class(split, per_class):
    data = keras_cct.load_sample(split)
    assert np.bincount(data.labels).tolist() == [per_class] * 10
    assert data.images.shape == (10 * per_class, 28, 28, 1)
    assert data.images.dtype == "uint8"
    assert len(data.class_names) == 10


def test_sample_splits_share_no_image():
    train, test = ({image.tobytes() for image in keras_cct.load_sample(split).images} for split in ("train", "test"))
    assert not train & test


def test_recipe_normalises_with_the_mean_and_std_of_the_full_set():
    # The sample's own differ from the full set's by less than a hundredth.
    recipe, images = keras_cct.load_recipe("sample"), keras_cct.load_sample("train").images / 255
    assert recipe.mean[0] == pytest.approx(images.mean(), abs=0.01)
    assert recipe.std[0] == pytest.approx(images.std(), abs=0.01)


def test_unknown_split_is_refused():
    with pytest.raises(keras_cct.InputError, match="split='val' is unknown. Choose one of train, test."):
        keras_cct.load_sample("val")
