"""The training augmentation of keras_cct as a `tf.data` pipeline over images in memory, for `input_pipeline.py`."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from pillow_pipeline import PillowRecipe

from keras_cct.data.augment.erasing import Erasing
from keras_cct.data.augment.mixing import Mixing, soft_targets
from keras_cct.data.augment.plan import (
    Augmentation,
    change_pixels,
    crop_batch,
    crop_image,
    draw_crops,
    group_size,
    mix_and_erase,
)
from keras_cct.data.rng import SampleKeys

NUM_CLASSES = 10
BATCHES_AHEAD = 2


def our_batches(recipe: PillowRecipe, images: np.ndarray, num_threads: int) -> Iterator:
    """Returns an endless iterator of batches and their targets.

    Images of the size wanted are cropped as a group; others one by one, as images of many sizes must be.
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

    group = group_size(batch_size, how)

    def keys_of(numbers: tf.Tensor) -> SampleKeys:
        return SampleKeys(0, tf.constant(0), numbers)

    def images_at(numbers: tf.Tensor) -> tf.Tensor:
        return tf.gather(pixels, numbers % len(images))

    def crop_group(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return numbers, crop_batch(images_at(numbers), draw_crops(keys_of(numbers)), how)

    def draw(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return numbers, draw_crops(keys_of(numbers))

    def crop(number: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number, crop_image(images_at(number), draws, how)

    def change(numbers: tf.Tensor, crops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return numbers, change_pixels(crops, keys_of(numbers), how)

    def finish(numbers: tf.Tensor, crops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        crops = tf.ensure_shape(crops, [batch_size, *crops.shape[1:]])
        return mix_and_erase(crops, soft_targets(numbers % NUM_CLASSES, NUM_CLASSES, 0.1), keys_of(numbers), how)

    data = tf.data.Dataset.range(2**31).batch(group)
    if recipe.size == recipe.source_size:
        data = data.map(crop_group, num_parallel_calls=num_threads)
    else:
        data = data.map(draw).unbatch().map(crop, num_parallel_calls=num_threads).batch(group)
    data = data.map(change, num_parallel_calls=num_threads).rebatch(batch_size, drop_remainder=True)
    data = data.map(finish, num_parallel_calls=num_threads)
    options = tf.data.Options()
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return iter(data.prefetch(BATCHES_AHEAD).with_options(options))
