import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.augment.library_layers import create_library_layer, is_library_layer
from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.images import LabeledImages
from keras_cct.data.pipeline import training_batches
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
RECIPE = Recipe("cct_2_3x2_32", "sample", mean=(0.5,), std=(0.5,), epochs=1, cooldown_epochs=0)


def augmented(name: str, recipe_seed: int = 0, **arguments) -> np.ndarray:
    layer = create_library_layer(name, arguments, recipe_seed).for_images(IMAGES.shape[1:])
    return np.array(list(tf.data.Dataset.from_tensors(IMAGES).repeat(2).map(layer).as_numpy_iterator()))


def batch_of(recipe: Recipe) -> tf.Tensor:
    data = LabeledImages(IMAGES, np.zeros(8, "int64"), ("a",))
    plan = Augmentation.from_recipe(recipe).for_images((32, 32, 3), 8)
    ((images, _),) = training_batches(data, recipe, plan)
    return images


def test_layer_names_start_with_their_library():
    assert is_library_layer("keras.RandAugment")
    assert is_library_layer("keras_cv.AugMix")
    assert not is_library_layer("rand-m9-mstd0.5-inc1")
    assert not is_library_layer("")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("keras.RandomContrast", {"factor": 0.5}), ("keras.RandAugment", {}), ("keras_cv.AugMix", {})],
)
def test_layers_augment_every_batch_of_a_dataset_differently(name, arguments):
    first, second = augmented(name, **arguments)
    assert (first.dtype, first.shape) == ("uint8", IMAGES.shape)
    assert (first != IMAGES).any()
    assert (first != second).any()


def test_seed_is_that_of_the_arguments_or_else_of_the_recipe():
    def contrast(recipe_seed, **arguments):
        return augmented("keras.RandomContrast", recipe_seed, factor=0.5, **arguments)

    np.testing.assert_array_equal(contrast(1), contrast(1))
    assert (contrast(1) != contrast(2)).any()
    np.testing.assert_array_equal(contrast(1, seed=3), contrast(2, seed=3))


def test_pipeline_applies_the_layer_instead_of_a_policy():
    keys = {"aa": "keras.RandomInvert", "aa_args": {"factor": [1.0, 1.0]}, "hflip": 0.0, "scale": (1.0, 1.0)}
    recipe = dataclasses.replace(RECIPE, ratio=(1.0, 1.0), **keys)
    wanted = {(255 - image).tobytes() for image in IMAGES}
    assert {image.tobytes() for image in batch_of(recipe).numpy()} == wanted


def test_python_conditions_of_keras_cv_work_in_the_pipeline():
    recipe = dataclasses.replace(RECIPE, aa="keras_cv.AugMix", aa_args={"severity": 0.5})
    images = batch_of(recipe)
    assert (images.dtype, images.shape) == (tf.uint8, (8, 32, 32, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "parts"),
    [
        ("keras.RandAugmnt", {}, ["'keras.RandAugmnt'", "Choose from RandAugment"]),
        ("keras.Dense", {"units": 3}, ["'keras.Dense'", "augmentation layer of keras"]),
        ("keras_cv.", {}, ["'keras_cv.'", "Choose from AugMix"]),
        ("keras.RandomContrast", {}, ["'keras.RandomContrast'", "aa_args={}", "factor"]),
        ("keras.RandomContrast", {"frob": 3}, ["aa_args={'frob': 3}"]),
        ("keras.RandomContrast", {"factor": "x"}, ["aa_args={'factor': 'x'}"]),
        ("keras.RandomCrop", {"height": 8, "width": 8}, ["'keras.RandomCrop'", "size", "img_size"]),
        ("keras_cv.MixUp", {}, ["'keras_cv.MixUp'", "aa_args={}"]),
    ],
)
def test_errors_of_layers_are_one_line(name, arguments, parts):
    with pytest.raises(InputError) as error:
        create_library_layer(name, arguments, seed=0).for_images((32, 32, 3))
    assert all(part in str(error.value) for part in parts)
    assert "\n" not in str(error.value)


def test_rejects_other_backends(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="'keras.RandAugment' needs KERAS_BACKEND=tensorflow, got jax"):
        create_library_layer("keras.RandAugment", {}, seed=0)
