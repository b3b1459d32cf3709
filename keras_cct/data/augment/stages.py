"""The stages of augmentation: crop and flip; RandAugment, color jitter or a library layer; mixing and erasing.

Each stage draws from its own random streams, and is a pure function of (seed, epoch, sample index) except for library
layers. The first two stages process each image on its own; the last one needs whole batches.
"""

import tensorflow as tf

from keras_cct.data.augment.color_jitter import JITTER_DRAWS, jitter_colors
from keras_cct.data.augment.crop import BOX_DRAWS, crop_boxes, resize_boxes
from keras_cct.data.augment.erasing import erase
from keras_cct.data.augment.mixing import MIX_DRAWS, drawing_keys, mix
from keras_cct.data.augment.plan import AugmentationPlan
from keras_cct.data.augment.randaugment import RandAugment, is_bicubic, rand_augment
from keras_cct.data.decode import resize_and_crop
from keras_cct.data.rng import SampleKeys, draw_table

CROP_STREAM, PIXEL_STREAM, MIX_STREAM, ERASE_STREAM = 0, 1000, 2000, 3000
"""First random stream of each stage, so that a change to one stage does not change the numbers of the others."""

CROP_DRAWS = BOX_DRAWS + 3
"""Uniform random numbers per crop: the box, the two flips, the interpolation."""


def draw_crops(keys: SampleKeys) -> tf.Tensor:
    """Returns the uniform random numbers for the crops of a batch, float32 of shape (batch, 25) in [0, 1)."""
    return draw_table(keys, CROP_STREAM, CROP_DRAWS)


def crop_image(image: tf.Tensor, draws: tf.Tensor, plan: AugmentationPlan) -> tf.Tensor:
    """Crops, resizes and flips one image of any size.

    Args:
        image: uint8 tensor of shape (rows, columns, channels).
        draws: Float32 tensor of shape (25,), a row of `draw_crops`.
        plan: The augmentation.

    Returns:
        uint8 tensor of shape (*image_size, channels).
    """
    if plan.augmentation.no_aug:
        return tf.cast(resize_and_crop(image[None], plan.resize)[0], tf.uint8)
    cropping = plan.augmentation.cropping
    sides = tf.shape(image)[:2]
    box = crop_boxes(draws[None], sides[:1], sides[1:], cropping.scale, cropping.ratio)
    top, left, height, width = tf.unstack(box[0])
    cropped = image[top : top + height, left : left + width]
    whole = tf.stack([0, 0, height, width])[None]
    return _resize_and_flip(cropped[None], whole, draws[None], plan)[0]


def crop_batch(images: tf.Tensor, draws: tf.Tensor, plan: AugmentationPlan) -> tf.Tensor:
    """Crops, resizes and flips images of one size.

    Args:
        images: uint8 tensor of shape (batch, rows, columns, channels).
        draws: Float32 tensor of shape (batch, 25) from `draw_crops`.
        plan: The augmentation.

    Returns:
        uint8 tensor of shape (batch, *image_size, channels).
    """
    if plan.augmentation.no_aug:
        return tf.cast(resize_and_crop(images, plan.resize), tf.uint8)
    cropping = plan.augmentation.cropping
    batch_size, rows, columns, _ = tf.unstack(tf.shape(images))
    heights, widths = tf.fill([batch_size], rows), tf.fill([batch_size], columns)
    boxes = crop_boxes(draws, heights, widths, cropping.scale, cropping.ratio)
    return _resize_and_flip(images, boxes, draws, plan)


def _resize_and_flip(images: tf.Tensor, boxes: tf.Tensor, draws: tf.Tensor, plan: AugmentationPlan) -> tf.Tensor:
    cropping = plan.augmentation.cropping
    flips = draws[:, BOX_DRAWS : BOX_DRAWS + 2] < tf.constant([cropping.hflip, cropping.vflip])
    cubic = is_bicubic(draws[:, BOX_DRAWS + 2], cropping.train_interpolation)
    return resize_boxes(images, boxes, plan.image_size, cubic, flips)


def change_pixels(images: tf.Tensor, keys: SampleKeys, plan: AugmentationPlan) -> tf.Tensor:
    """Applies RandAugment, color jitter or a library layer to cropped images.

    Args:
        images: uint8 tensor of shape (count, height, width, channels).
        keys: Seed, epoch and indices of the images.
        plan: The augmentation.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    augmentation = plan.augmentation
    if augmentation.no_aug:
        return images
    if plan.layer is not None:
        return plan.layer(images)
    if isinstance(augmentation.policy, RandAugment):
        draws = draw_table(keys, PIXEL_STREAM, augmentation.policy.num_draws)
        interpolation = augmentation.cropping.train_interpolation
        return rand_augment(images, draws, augmentation.policy, interpolation, plan.fill_color)
    if augmentation.color_jitter > 0:
        return jitter_colors(images, draw_table(keys, PIXEL_STREAM, JITTER_DRAWS), augmentation.color_jitter)
    return images


def mix_and_erase(
    images: tf.Tensor,
    targets: tf.Tensor,
    keys: SampleKeys,
    plan: AugmentationPlan,
    first_index: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies Mixup or CutMix, then RandomErasing, to a batch or to a part of one.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        targets: Float32 tensor of shape (batch, classes).
        keys: Seed, epoch and indices of the images.
        plan: The augmentation.
        first_index: Index of the first image of the whole batch, int32 of shape (1,); by default that of `images`.

    Returns:
        Images of the same shape, float32 with RandomErasing, otherwise uint8; targets of the same shape.
    """
    augmentation = plan.augmentation
    mixing, erasing = augmentation.mixing, augmentation.erasing
    if mixing.is_active:
        mix_draws = draw_table(drawing_keys(keys, mixing.mixup_mode, first_index), MIX_STREAM, MIX_DRAWS)
        images, targets = mix(images, targets, mix_draws, keys.epoch, mixing)
    if erasing.reprob > 0 and not augmentation.no_aug:
        erase_draws = draw_table(keys, ERASE_STREAM, erasing.num_draws)
        images = erase(images, erase_draws, keys, erasing, augmentation.mean, augmentation.std)
    return images, targets
