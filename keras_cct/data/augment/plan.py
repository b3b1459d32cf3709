"""The augmentation of the training recipe, for batches and for single images, from (seed, epoch, index) only."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.augment.color_jitter import JITTER_DRAWS, jitter_colors
from keras_cct.data.augment.crop import BOX_DRAWS, crop_boxes, resize_boxes
from keras_cct.data.augment.erasing import Erasing, erase
from keras_cct.data.augment.mixing import MIX_DRAWS, Mixing, drawing_keys, mix
from keras_cct.data.augment.randaugment import is_bicubic, parse_policy, rand_augment
from keras_cct.data.decode import ResizeAndCrop, resize_and_crop
from keras_cct.data.rng import SampleKeys, draw_table
from keras_cct.errors import check_setting

INTERPOLATIONS = ("random", "bilinear", "bicubic")
CROP_PLACE, PIXEL_PLACE, MIX_PLACE, ERASE_PLACE = 0, 1000, 2000, 3000
"""Where each stage finds its random numbers, so that a change of one leaves the others' alone."""

GROUP_PIXELS = 1024 * 32 * 32
"""Pixels of a group of small images: more would leave the caches, fewer spend their time starting operations."""

CROP_DRAWS = BOX_DRAWS + 3
"""Random numbers per crop: the box, the two flips, the resampling."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training images; the keys and defaults are the original's.

    Args:
        img_size: Height and width of the result, pixels.
        mean: Mean of each channel in units of 0..1; its color fills what moves into an image.
        std: Standard deviation of each channel in units of 0..1.
        scale: Least and largest share of an image's area to keep.
        ratio: Least and largest width over height of the part kept.
        hflip: Share of images mirrored left to right, 0 to 1.
        vflip: Share of images mirrored top to bottom, 0 to 1.
        no_aug: Whether images are only resized and cut at the center, and mixed.
        aa: RandAugment policy, e.g. "rand-m9-mstd0.5-inc1"; empty for color jitter instead.
        layer: Function of a batch of uint8 images that is called in place of `aa`; None for none.
        color_jitter: Strength of the jitter of brightness, contrast and saturation; 0 for none.
        train_interpolation: "bilinear", "bicubic" or "random", which is either.
        mixing: How to mix images.
        erasing: What to erase from them.

    Raises:
        InputError: A value is unknown or out of range.
    """

    img_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    hflip: float = 0.5
    vflip: float = 0.0
    no_aug: bool = False
    aa: str = ""
    layer: Callable[[tf.Tensor], tf.Tensor] | None = None
    color_jitter: float = 0.4
    train_interpolation: str = "random"
    mixing: Mixing = dataclasses.field(default_factory=Mixing)
    erasing: Erasing = dataclasses.field(default_factory=Erasing)

    def __post_init__(self) -> None:
        modes = f"one of {', '.join(INTERPOLATIONS)}"
        self._check("train_interpolation", self.train_interpolation in INTERPOLATIONS, modes)
        for key in ("hflip", "vflip"):
            self._check(key, 0 <= getattr(self, key) <= 1, "from 0 to 1")
        for key in ("scale", "ratio"):
            values = getattr(self, key)
            is_range = len(values) == 2 and 0 < values[0] <= values[1]
            self._check(key, is_range, "two numbers above 0, the lower one first")
        self._check("scale", self.scale[1] <= 1, "at most 1")
        self._check("color_jitter", self.color_jitter >= 0, "at least 0")
        self._check("img_size", min(self.img_size) >= 1, "at least 1")
        if self.aa:
            parse_policy(self.aa)

    def _check(self, key: str, is_good: bool, allowed: str) -> None:
        check_setting(key, getattr(self, key), is_good, allowed)

    @property
    def fill_color(self) -> tuple[int, ...]:
        """Value of each channel, 0..255, for pixels that come from outside an image."""
        return tuple(min(255, round(255 * mean)) for mean in self.mean)

    @property
    def resizing(self) -> ResizeAndCrop:
        """How images are resized and cut with `no_aug`."""
        interpolation = "bilinear" if self.train_interpolation == "random" else self.train_interpolation
        return ResizeAndCrop(*self.img_size, interpolation=interpolation)


def draw_crops(keys: SampleKeys) -> tf.Tensor:
    """Returns the random numbers of a batch's crops, float32 of shape (batch, 25) from 0 to below 1."""
    return draw_table(keys, CROP_PLACE, CROP_DRAWS)


def crop_image(image: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Crops, resizes and flips one image of any size.

    Args:
        image: uint8 tensor of shape (rows, columns, channels).
        draws: Its row of `draw_crops`, which makes them for a whole batch at the price of one.
        augmentation: What to do.

    Returns:
        uint8 tensor of shape (*img_size, channels).
    """
    if augmentation.no_aug:
        return tf.cast(resize_and_crop(image[None], augmentation.resizing)[0], tf.uint8)
    sides = tf.shape(image)[:2]
    box = crop_boxes(draws[None], sides[:1], sides[1:], augmentation.scale, augmentation.ratio)
    top, left, height, width = tf.unstack(box[0])
    part = image[top : top + height, left : left + width]
    whole = tf.stack([0, 0, height, width])[None]
    return _resize_and_flip(part[None], whole, draws[None], augmentation)[0]


def crop_batch(images: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Crops, resizes and flips images of one size.

    Args:
        images: uint8 tensor of shape (batch, rows, columns, channels).
        draws: Float32 tensor of shape (batch, 25), of `draw_crops`.
        augmentation: What to do.

    Returns:
        uint8 tensor of shape (batch, *img_size, channels).
    """
    if augmentation.no_aug:
        return tf.cast(resize_and_crop(images, augmentation.resizing), tf.uint8)
    sides = tf.tile(tf.shape(images)[None, 1:3], (tf.shape(images)[0], 1))  # (batch, 2)
    boxes = crop_boxes(draws, sides[:, 0], sides[:, 1], augmentation.scale, augmentation.ratio)
    return _resize_and_flip(images, boxes, draws, augmentation)


def _resize_and_flip(images: tf.Tensor, boxes: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    flips = draws[:, BOX_DRAWS : BOX_DRAWS + 2] < tf.constant([augmentation.hflip, augmentation.vflip])
    cubic = is_bicubic(draws[:, BOX_DRAWS + 2], augmentation.train_interpolation)
    return resize_boxes(images, boxes, augmentation.img_size, cubic, flips)


def augment_crops(
    images: tf.Tensor, targets: tf.Tensor, keys: SampleKeys, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does to cropped images all that comes after the crop: RandAugment or color jitter, mixing, erasing.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        targets: Float32 tensor of shape (batch, classes).
        keys: What the random numbers depend on.
        augmentation: What to do.

    Returns:
        Images of that shape, float32 if some are erased, otherwise uint8; targets of the shape given.
    """
    return mix_and_erase(change_pixels(images, keys, augmentation), targets, keys, augmentation)


def mix_and_erase(
    images: tf.Tensor, targets: tf.Tensor, keys: SampleKeys, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what concerns a batch as a whole, after `change_pixels`; arguments and results as of `augment_crops`."""
    mixing, erasing = augmentation.mixing, augmentation.erasing
    if mixing.is_active:
        mix_draws = draw_table(drawing_keys(keys, mixing.mixup_mode), MIX_PLACE, MIX_DRAWS)
        images, targets = mix(images, targets, mix_draws, keys.epoch, mixing)
    if erasing.reprob > 0 and not augmentation.no_aug:
        erase_draws = draw_table(keys, ERASE_PLACE, erasing.num_draws)
        images = erase(images, erase_draws, keys, erasing, augmentation.mean, augmentation.std)
    return images, targets


def change_pixels(images: tf.Tensor, keys: SampleKeys, augmentation: Augmentation) -> tf.Tensor:
    """Does what concerns each cropped image alone: RandAugment or color jitter.

    Args:
        images: uint8 tensor of shape (count, height, width, channels).
        keys: What the random numbers depend on.
        augmentation: What to do.

    Returns:
        Tensor of the shape of `images`.
    """
    if augmentation.no_aug:
        return images
    if augmentation.layer is not None:
        return augmentation.layer(images)
    if augmentation.aa:
        policy = parse_policy(augmentation.aa)
        draws = draw_table(keys, PIXEL_PLACE, policy.num_draws)
        return rand_augment(images, draws, policy, augmentation.train_interpolation, augmentation.fill_color)
    if augmentation.color_jitter > 0:
        return jitter_colors(images, draw_table(keys, PIXEL_PLACE, JITTER_DRAWS), augmentation.color_jitter)
    return images


def group_size(batch_size: int, augmentation: Augmentation) -> int:
    """Returns how many images `change_pixels` best takes at once: as many as some number of whole batches has."""
    if augmentation.layer is not None:
        return batch_size  # what a layer does may depend on the whole batch
    height, width = augmentation.img_size
    return batch_size * max(1, GROUP_PIXELS // (batch_size * height * width))


def augment_batch(
    images: tf.Tensor, targets: tf.Tensor, keys: SampleKeys, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Augments a batch of images of one size.

    Args:
        images: uint8 tensor of shape (batch, rows, columns, channels).
        targets: Float32 tensor of shape (batch, classes), e.g. of `soft_targets`.
        keys: What the random numbers depend on.
        augmentation: What to do.

    Returns:
        Images of shape (batch, *img_size, channels), float32 if some are erased, otherwise uint8; targets of the shape
        given.
    """
    crops = crop_batch(images, draw_crops(keys), augmentation)
    return augment_crops(crops, targets, keys, augmentation)
