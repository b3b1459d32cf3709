"""Classes of different frequency: weights of the loss, and draws of a sampler."""

import numpy as np
import pytest
import tensorflow as tf

import keras_cct
from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.images import EncodedImages, LabeledImages, RecordImages, balanced_indices
from keras_cct.data.pipeline import balanced_class_weights, training_batches
from keras_cct.errors import InputError

NAMES = ("common", "rare", "never")
LABELS = np.array([0] * 30 + [1] * 3)


def unbalanced() -> LabeledImages:
    pixels = np.broadcast_to(LABELS[:, None, None, None], (33, 8, 8, 1)).astype("uint8")
    return LabeledImages(pixels, LABELS, NAMES)


def batches(data, **keys):
    recipe = keras_cct.load_recipe("sample", **({"epochs": 1, "warmup_epochs": 0, "no_aug": True} | keys))
    plan = Augmentation.from_recipe(recipe).for_images((8, 8, 1), 33)
    return training_batches(data, recipe, plan)


def test_class_weights_are_inverse_to_the_number_of_images():
    weights = balanced_class_weights(unbalanced())
    np.testing.assert_allclose(weights, [33 / 60, 33 / 6, 0])
    assert weights[LABELS].mean() == pytest.approx(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_batches_have_the_weight_of_each_target(smoothing):
    ((_, targets, weights),) = batches(unbalanced(), class_weights="balanced", smoothing=smoothing)
    np.testing.assert_allclose(weights, targets.numpy() @ balanced_class_weights(unbalanced()), rtol=1e-6)
    assert sorted(set(np.argmax(targets, axis=1))) == [0, 1]
    (without,) = batches(unbalanced())
    assert len(without) == 2


def test_the_sampler_draws_classes_equally_often():
    draws = np.concatenate([balanced_indices(LABELS, 1, tf.constant(epoch)).numpy() for epoch in range(60)])
    assert set(draws) == set(range(33))
    frequency = np.mean(LABELS[draws] == 1)
    assert abs(frequency - 0.5) < 4 * 0.5 / np.sqrt(len(draws))  # four standard deviations
    first, same, other = (balanced_indices(LABELS, seed, tf.constant(0)).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_the_sampler_balances_batches_of_arrays_and_of_files():
    arrays = unbalanced()
    contents = [tf.io.encode_png(image).numpy() for image in arrays.images]
    files = EncodedImages([str(number) for number in range(33)], LABELS, NAMES, contents, channels=1)
    found = []
    for data in (arrays, files):
        ((images, targets),) = batches(data, sampler="balanced", smoothing=0.0)
        labels = np.argmax(targets, axis=1)
        np.testing.assert_array_equal(np.round(images.numpy()[:, 0, 0, 0]), labels)  # the pixels are the labels
        found.append(labels)
    np.testing.assert_array_equal(*found)
    assert np.mean(found[0] == 1) > 0.2


@pytest.mark.parametrize("keys", [{"class_weights": "balanced"}, {"sampler": "balanced"}])
def test_streamed_images_cannot_be_balanced(keys):
    stream = RecordImages(tf.data.Dataset.range(33), 33, 1, NAMES, "tfds/big train", channels=1)
    with pytest.raises(InputError, match="33 images of tfds/big train are streamed"):
        batches(stream, **keys)
