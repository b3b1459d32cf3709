"""The `tf.data` pipelines that feed training and evaluation, under every backend."""

import dataclasses

import tensorflow as tf

from keras_cct.checks import check_setting
from keras_cct.data.augment import Augmentation, augment_batch
from keras_cct.data.draws import SampleKeys
from keras_cct.data.erasing import Erasing
from keras_cct.data.labelled_images import LabelledImages
from keras_cct.data.mixing import Mixing, check_batch_size, soft_targets
from keras_cct.recipe import Recipe


def recipe_augmentation(recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int) -> Augmentation:
    """Returns the augmentation of a recipe.

    Args:
        recipe: The recipe.
        image_shape: (height, width, channels) of the images that the model takes.
        batch_size: Images per step, over all devices.

    Raises:
        InputError: A key is unknown or out of range, does not fit the images, or an odd batch is to be mixed.
    """
    *img_size, channels = image_shape
    for key in ("mean", "std"):
        fits = len(getattr(recipe, key)) in (1, channels)
        check_setting(key, getattr(recipe, key), fits, f"one number, or one for each channel of the images, {channels}")
    mixing = Mixing(**_keys_of(Mixing, recipe))
    if mixing.is_active:
        check_batch_size(batch_size)
    erasing = Erasing(**_keys_of(Erasing, recipe))
    keys = _keys_of(Augmentation, recipe) | {"img_size": tuple(img_size)}
    return Augmentation(mixing=mixing, erasing=erasing, **keys)


def _keys_of(kind: type, recipe: Recipe) -> dict[str, object]:
    """Returns the recipe's keys that have the name of a field."""
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: getattr(recipe, name) for name in names if hasattr(recipe, name)}


def training_batches(data: LabelledImages, recipe: Recipe, batch_size: int) -> tf.data.Dataset:
    """Returns all epochs of a recipe, one after the other.

    What becomes of an image in an epoch depends on (seed, epoch, index of the image) only, and so does its place in
    the epoch. Each epoch leaves out the images that do not fill its last batch.

    Args:
        data: The training images.
        recipe: Seed, epochs, augmentation and label smoothing.
        batch_size: Images per step, over all devices; at most the number of images.

    Returns:
        Pairs of images of shape (batch, height, width, channels), pixels of 0..255, and targets, float32 of shape
        (batch, classes), rows summing to 1.

    Raises:
        InputError: A key of the augmentation is unknown or out of range.
    """
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    augmentation = recipe_augmentation(recipe, data.image_shape, batch_size)

    def batch(epoch: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        targets = soft_targets(tf.gather(labels, indices), len(data.class_names), recipe.smoothing)
        return augment_batch(tf.gather(images, indices), targets, SampleKeys(recipe.seed, epoch, indices), augmentation)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(data)), [recipe.seed, epoch])
        indices = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        return indices.map(lambda indices: batch(epoch, indices), num_parallel_calls=tf.data.AUTOTUNE)

    epochs = tf.data.Dataset.range(recipe.total_epochs, output_type=tf.int32)
    num_steps = len(data) // batch_size * recipe.total_epochs
    batches = epochs.flat_map(epoch_batches).apply(tf.data.experimental.assert_cardinality(num_steps))
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(data: LabelledImages, batch_size: int) -> tf.data.Dataset:
    """Returns every image once, in order, unchanged.

    Args:
        data: The images.
        batch_size: Images per step, over all devices; the last step may have fewer.

    Returns:
        Pairs as of `training_batches`, targets one-hot.
    """
    targets = soft_targets(tf.constant(data.labels), len(data.class_names), smoothing=0.0)
    return tf.data.Dataset.from_tensor_slices((data.images, targets)).batch(batch_size).prefetch(tf.data.AUTOTUNE)
