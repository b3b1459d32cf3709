"""The `tf.data` pipelines that feed training and evaluation, under every backend."""

import tensorflow as tf

from keras_cct.data.augment import NUM_DRAWS, crop_and_flip
from keras_cct.data.labelled_images import LabelledImages
from keras_cct.data.mixing import soft_targets
from keras_cct.recipe import Recipe


def training_batches(data: LabelledImages, recipe: Recipe, batch_size: int) -> tf.data.Dataset:
    """Returns all epochs of a recipe, one after the other.

    What becomes of an image in an epoch depends on (seed, epoch, index of the image) only, and so does its place in
    the epoch. Each epoch leaves out the images that do not fill its last batch.

    Args:
        data: The training images.
        recipe: Seed, epochs, augmentation and label smoothing.
        batch_size: Images per step, over all devices; at most the number of images.

    Returns:
        Pairs of images, uint8 of shape (batch, height, width, channels), and targets, float32 of shape
        (batch, classes), rows summing to 1.
    """
    images, labels = tf.constant(data.images), tf.constant(data.labels)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order_seed, draws_seed = tf.unstack(tf.random.split([recipe.seed, epoch], 2))
        order = tf.random.experimental.stateless_shuffle(tf.range(len(data)), order_seed)
        draws = tf.random.stateless_uniform((len(data), NUM_DRAWS), draws_seed)

        def batch(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch_images = crop_and_flip(
                tf.gather(images, indices), tf.gather(draws, indices), recipe.crop_padding, recipe.hflip
            )
            return batch_images, soft_targets(tf.gather(labels, indices), len(data.class_names), recipe.smoothing)

        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True).map(batch)

    epochs = tf.data.Dataset.range(recipe.total_epochs, output_type=tf.int32)
    return epochs.flat_map(epoch_batches).prefetch(tf.data.AUTOTUNE)


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
