"""The training augmentation of keras_cct as a `tf.data` pipeline over images in memory, for `input_pipeline.py`."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from pillow_pipeline import PillowRecipe

from keras_cct.data.augment import Augmentation, augment_batch, augment_crops, crop_image, draw_crops
from keras_cct.data.draws import SampleKeys
from keras_cct.data.erasing import Erasing
from keras_cct.data.mixing import Mixing, soft_targets

NUM_CLASSES = 10
BATCHES_AHEAD = 2


def our_batches(recipe: PillowRecipe, images: np.ndarray, num_threads: int) -> Iterator:
    """Returns an endless iterator of batches and their targets.

    Images of the size wanted are cropped as a batch; others one by one, as images of many sizes must be.
    """
    how = Augmentation(
        (recipe.size, recipe.size),
        recipe.mean,
        recipe.std,
        recipe.scale,
        aa="rand-m9-mstd0.5-inc1",
        mixing=Mixing(mixup=0.8, cutmix=1.0),
        erasing=Erasing(reprob=0.25, remode="pixel"),
    )
    pixels, batch_size = tf.constant(images), recipe.batch_size

    def keys_and_targets(numbers: tf.Tensor) -> tuple[SampleKeys, tf.Tensor]:
        numbers = tf.ensure_shape(numbers, [batch_size])
        return SampleKeys(0, tf.constant(0), numbers), soft_targets(numbers % NUM_CLASSES, NUM_CLASSES, 0.1)

    def images_at(numbers: tf.Tensor) -> tf.Tensor:
        return tf.gather(pixels, numbers % len(images))

    def batch(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        keys, targets = keys_and_targets(numbers)
        return augment_batch(images_at(numbers), targets, keys, how)

    def draws(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return numbers, draw_crops(keys_and_targets(numbers)[0])

    def crop(number: tf.Tensor, crop_draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number, crop_image(images_at(number), crop_draws, how)

    def batch_of_crops(numbers: tf.Tensor, crops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        keys, targets = keys_and_targets(numbers)
        return augment_crops(crops, targets, keys, how)

    data = tf.data.Dataset.range(2**31).batch(batch_size, drop_remainder=True)
    if recipe.size == recipe.source_size:
        data = data.map(batch, num_parallel_calls=num_threads)
    else:
        data = data.map(draws).unbatch().map(crop, num_parallel_calls=num_threads)
        data = data.batch(batch_size, drop_remainder=True).map(batch_of_crops, num_parallel_calls=num_threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return iter(data.prefetch(BATCHES_AHEAD).with_options(options))
