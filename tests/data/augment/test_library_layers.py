import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.augment.library_layers import is_library_layer, library_layer
from keras_cct.data.images import LabeledImages
from keras_cct.data.pipeline import training_batches
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
RECIPE = Recipe("cct_2_3x2_32", "sample", mean=(0.5,), std=(0.5,), epochs=1, cooldown_epochs=0)


def augmented(name: str, recipe_seed: int = 0, **arguments) -> np.ndarray:
    layer = library_layer(name, arguments, recipe_seed, channels=3)
    return np.array(list(tf.data.Dataset.from_tensors(IMAGES).repeat(2).map(layer).as_numpy_iterator()))


def test_layers_are_known_by_the_library_before_the_dot():
    assert is_library_layer("keras.RandAugment")
    assert is_library_layer("keras_cv.AugMix")
    assert not is_library_layer("rand-m9-mstd0.5-inc1")
    assert not is_library_layer("")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("keras.RandomContrast", {"factor": 0.5}), ("keras.RandAugment", {}), ("keras_cv.AugMix", {})],
)
def test_a_layer_changes_images_inside_a_dataset_and_every_batch_in_its_own_way(name, arguments):
    first, second = augmented(name, **arguments)
    assert (first.dtype, first.shape) == ("uint8", IMAGES.shape)
    assert (first != IMAGES).any()
    assert (first != second).any()


def test_the_seed_of_the_recipe_decides_and_one_among_the_arguments_goes_before_it():
    def contrast(recipe_seed, **arguments):
        return augmented("keras.RandomContrast", recipe_seed, factor=0.5, **arguments)

    np.testing.assert_array_equal(contrast(1), contrast(1))
    assert (contrast(1) != contrast(2)).any()
    np.testing.assert_array_equal(contrast(1, seed=3), contrast(2, seed=3))


def test_a_layer_takes_the_place_of_the_policy_in_the_pipeline():
    keys = {"aa": "keras.RandomInvert", "aa_args": {"factor": [1.0, 1.0]}, "hflip": 0.0, "scale": (1.0, 1.0)}
    recipe = dataclasses.replace(RECIPE, ratio=(1.0, 1.0), **keys)
    data = LabeledImages(IMAGES, np.zeros(8, "int64"), ("a",))
    ((images, _),) = training_batches(data, recipe, (32, 32, 3), 8)
    wanted = {(255 - image).tobytes() for image in IMAGES}
    assert {image.tobytes() for image in images.numpy()} == wanted


def test_conditions_in_the_code_of_keras_cv_work_in_the_pipeline():
    recipe = dataclasses.replace(RECIPE, aa="keras_cv.AugMix", aa_args={"severity": 0.5})
    data = LabeledImages(IMAGES, np.zeros(8, "int64"), ("a",))
    ((images, _),) = training_batches(data, recipe, (32, 32, 3), 8)
    assert (images.dtype, images.shape) == (tf.uint8, (8, 32, 32, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("keras.RandAugmnt", {}, "aa='keras.RandAugmnt' is no augmentation layer of keras. Choose from RandAugment"),
        ("keras.Dense", {"units": 3}, "aa='keras.Dense' is no augmentation layer of keras."),
        ("keras_cv.", {}, "aa='keras_cv.' is no augmentation layer of keras_cv. Choose from AugMix"),
        ("keras.RandomContrast", {}, "aa='keras.RandomContrast' with aa_args={} does not work: "),
        ("keras.RandomContrast", {"frob": 3}, "with aa_args={'frob': 3} does not work: "),
        ("keras.RandomContrast", {"factor": "x"}, "with aa_args={'factor': 'x'} does not work: "),
        (
            "keras.RandomCrop",
            {"height": 8, "width": 8},
            "aa='keras.RandomCrop' changes the size of images, and img_size",
        ),
        ("keras_cv.MixUp", {}, "aa='keras_cv.MixUp' with aa_args={} does not work: "),
    ],
)
def test_layers_that_cannot_work_are_one_line(name, arguments, message):
    with pytest.raises(InputError) as error:
        library_layer(name, arguments, seed=0, channels=3)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="aa='keras.RandAugment' needs KERAS_BACKEND=tensorflow, not jax: not every"):
        library_layer("keras.RandAugment", {}, seed=0, channels=3)
