"""The `tf.data` pipelines that feed training and evaluation, under every backend."""

import tensorflow as tf

from keras_cct.data.augment import NUM_DRAWS, crop_and_flip
from keras_cct.data.labelled_images import LabelledImages
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


def soft_targets(labels: tf.Tensor, num_classes: int, smoothing: float) -> tf.Tensor:
    """Returns smoothed one-hot targets: `smoothing / num_classes` everywhere, the rest on the label.

    Args:
        labels: Integer tensor of shape (batch,).
        num_classes: Number of columns.
        smoothing: Share of the weight to spread, 0 to below 1.

    Returns:
        Float32 tensor of shape (batch, num_classes); each row sums to 1.
    """
    off = smoothing / num_classes
    return tf.one_hot(labels, num_classes, on_value=1.0 - smoothing + off, off_value=off)
