"""Mixup and CutMix: every image becomes a mixture of two, and so does its target.

Reference: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899; the sampling is that of timm 0.4.12.
"""

import dataclasses
import math

import tensorflow as tf

from keras_cct.data.augment.choice import apply_by_choice
from keras_cct.data.augment.crop import box_masks
from keras_cct.data.rng import SampleKeys, to_integer
from keras_cct.errors import InputError, check_setting

MODES = ("batch", "pair", "elem")
MIX_DRAWS = 6
"""Random numbers per mixture: whether to mix, whether to cut, two for the ratio, two for the box's center."""

CACHED_VALUES, FEW_IMAGES = 2**20, 8
"""More pixel values than a processor's cache holds in float32 are blended a few images at a time."""


@dataclasses.dataclass(frozen=True)
class Mixing:
    """How to mix; the keys and defaults are the original's.

    Args:
        mixup: Parameter of the Beta distribution of Mixup's ratio; 0 for no Mixup.
        cutmix: The same for CutMix.
        mixup_prob: Share of draws that mix, 0 to 1.
        mixup_switch_prob: Share of CutMix among the mixtures, where both are on, 0 to 1.
        mixup_mode: What shares one draw: "batch", "pair" (an image and its partner) or "elem" (each image).
        mixup_off_epoch: First epoch without mixing, from 0; 0 for never.

    Raises:
        InputError: A value is unknown or out of range.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    mixup_switch_prob: float = 0.5
    mixup_mode: str = "batch"
    mixup_off_epoch: int = 0

    def __post_init__(self) -> None:
        for key in ("mixup", "cutmix", "mixup_off_epoch"):
            check_setting(key, getattr(self, key), getattr(self, key) >= 0, "at least 0")
        for key in ("mixup_prob", "mixup_switch_prob"):
            check_setting(key, getattr(self, key), 0 <= getattr(self, key) <= 1, "from 0 to 1")
        check_setting("mixup_mode", self.mixup_mode, self.mixup_mode in MODES, f"one of {', '.join(MODES)}")

    @property
    def is_active(self) -> bool:
        """Whether images are ever mixed."""
        return self.mixup > 0 or self.cutmix > 0


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


def check_batch_size(batch_size: int) -> None:
    """Raises InputError if a batch cannot be mixed: image i is mixed with image batch_size - 1 - i."""
    if batch_size % 2:
        raise InputError(
            f"batch size {batch_size} is odd, and mixup and cutmix pair the images of a batch. "
            "Choose an even one, or set mixup and cutmix to 0."
        )


def drawing_keys(keys: SampleKeys, mode: str) -> SampleKeys:
    """Returns, for every image of a batch, the key of the image whose random numbers decide how it is mixed."""
    return dataclasses.replace(keys, indices=_drawing_indices(keys.indices, mode))


def _drawing_indices(indices: tf.Tensor, mode: str) -> tf.Tensor:
    if mode == "batch":
        return tf.repeat(indices[:1], tf.size(indices))
    if mode == "pair":
        half = tf.size(indices) // 2
        return tf.concat([indices[:half], indices[:half][::-1]], axis=0)
    return indices


def mix(
    images: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, epoch: tf.Tensor, mixing: Mixing
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes every image with the one as far from the batch's end as it is from the start.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels); the batch is even.
        targets: Float32 tensor of shape (batch, classes).
        draws: Float32 tensor of shape (batch, 6), uniform in 0..1, from the images of `drawing_keys`.
        epoch: Scalar integer tensor, from 0.
        mixing: How to mix.

    Returns:
        Images and targets of the shapes and dtypes given.
    """
    check_batch_size(images.shape[0])
    height, width = images.shape[1:3]
    ratios, is_cut = draw_ratios(draws, epoch, mixing)
    centers = to_integer(draws[:, 4], height), to_integer(draws[:, 5], width)
    boxes = cut_boxes(ratios, *centers, height, width)
    cut_ratios = 1.0 - tf.cast(boxes[:, 2] * boxes[:, 3], tf.float64) / (height * width)
    ratios = tf.where(is_cut, cut_ratios, ratios)
    choices = tf.where(ratios < 1, tf.where(is_cut, 2, 1), 0)
    partner_rows = images.shape[0] - 1 - tf.range(images.shape[0])
    if mixing.mixup_mode == "batch":
        mixed = _mix_alike(images, choices[0], ratios, boxes)
    else:
        mixed = _mix_apart(images, partner_rows, choices, ratios, boxes)
    return mixed, blend(targets, tf.gather(targets, partner_rows), ratios[:, None])


def _mix_alike(images: tf.Tensor, choice: tf.Tensor, ratios: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Mixes all images in the same way: not at all, by blending or by pasting, as `choice` is 0, 1 or 2."""
    partners = tf.reverse(images, [0])

    def blend_all() -> tf.Tensor:
        if math.prod(images.shape) <= CACHED_VALUES:
            return blend_pixels(images, partners, ratios)
        few = math.gcd(images.shape[0], FEW_IMAGES)
        groups = [tf.reshape(side, (-1, few, *side.shape[1:])) for side in (images, partners, ratios)]
        mixed = tf.map_fn(
            lambda group: blend_pixels(*group), tuple(groups), fn_output_signature=tf.uint8, parallel_iterations=1
        )
        return tf.reshape(mixed, images.shape)

    return tf.switch_case(choice, [lambda: images, blend_all, lambda: paste_boxes(images, partners, boxes)])


def _mix_apart(
    images: tf.Tensor, partner_rows: tf.Tensor, choices: tf.Tensor, ratios: tf.Tensor, boxes: tf.Tensor
) -> tf.Tensor:
    """Mixes each image in its own way."""

    def blend_chosen(chosen: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return blend_pixels(chosen, tf.gather(images, tf.gather(partner_rows, rows)), tf.gather(ratios, rows))

    def paste_chosen(chosen: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return paste_boxes(chosen, tf.gather(images, tf.gather(partner_rows, rows)), tf.gather(boxes, rows))

    return apply_by_choice(images, choices, [lambda chosen, rows: chosen, blend_chosen, paste_chosen])


def draw_ratios(draws: tf.Tensor, epoch: tf.Tensor, mixing: Mixing) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the share of an image in its mixture.

    Args:
        draws: Float32 tensor of shape (batch, 6), uniform in 0..1.
        epoch: Scalar integer tensor, from 0.
        mixing: How to mix.

    Returns:
        Float64 tensor of shape (batch,), 1 where nothing is mixed, and a boolean one that says where to cut.
    """
    cutmix_rate = mixing.mixup_switch_prob if mixing.mixup > 0 else 1.0
    is_cut = (draws[:, 1] < cutmix_rate) & (mixing.cutmix > 0)
    alphas = tf.where(is_cut, tf.constant(mixing.cutmix, tf.float64), tf.constant(mixing.mixup, tf.float64))
    ratios = symmetric_beta(tf.cast(draws[:, 2:4], tf.float64), alphas)
    is_mixed = draws[:, 0] < mixing.mixup_prob
    if mixing.mixup_off_epoch:
        is_mixed &= epoch < mixing.mixup_off_epoch
    return tf.where(is_mixed, ratios, 1.0), is_cut


def symmetric_beta(draws: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """Turns pairs of uniform random numbers into numbers of the distribution Beta(alpha, alpha), without rejection.

    Args:
        draws: Float64 tensor of shape (batch, 2), uniform in 0..1.
        alphas: Float64 tensor of shape (batch,), above 0.

    Returns:
        Float64 tensor of shape (batch,), 0 to 1.

    Reference: Devroye 1986, "Non-Uniform Random Variate Generation", IX.3.5, from Bailey's Student t variates.
    """
    power = (1.0 - draws[:, 0]) ** (1.0 / alphas)
    cosine = tf.cos(2 * math.pi * draws[:, 1])
    ratios = 0.5 + 0.5 * cosine * tf.sqrt((1 - power) / (power + (1 - power) * cosine * cosine))
    return tf.clip_by_value(ratios, 0.0, 1.0)  # rounding can leave them by 1e-16


def cut_boxes(ratios: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the boxes that CutMix cuts: a share 1 - ratio of the image, clipped at its edges.

    Args:
        ratios: Float64 tensor of shape (batch,), 0 to 1.
        rows: int32 tensor of shape (batch,), the boxes' centers.
        columns: int32 tensor of shape (batch,).
        height: Rows of the images.
        width: Columns of the images.

    Returns:
        int32 tensor of shape (batch, 4): top, left, height, width.
    """
    side = tf.sqrt(1.0 - ratios)
    half_height, half_width = tf.cast(height * side, tf.int32) // 2, tf.cast(width * side, tf.int32) // 2
    top, left = tf.maximum(rows - half_height, 0), tf.maximum(columns - half_width, 0)
    bottom, right = tf.minimum(rows + half_height, height), tf.minimum(columns + half_width, width)
    return tf.stack([top, left, bottom - top, right - left], axis=1)


def blend_pixels(images: tf.Tensor, partners: tf.Tensor, ratios: tf.Tensor) -> tf.Tensor:
    """Returns Mixup's images, uint8, rounded half to even; `ratios` is a float64 tensor of shape (batch,)."""
    flat = [tf.cast(tf.reshape(side, (tf.size(ratios), -1)), tf.float32) for side in (images, partners)]
    mixed = tf.round(blend(*flat, ratios[:, None]))  # (batch, height * width * channels)
    return tf.reshape(tf.cast(mixed, tf.uint8), tf.shape(images))


def paste_boxes(images: tf.Tensor, partners: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns CutMix's images: inside the boxes, int32 of shape (batch, 4), the partners."""
    height, width, channels = images.shape[1:]
    masks = box_masks(boxes * (1, channels, 1, channels), height, width * channels)
    differences = tf.bitwise.bitwise_xor(images, partners)  # bits are several times faster than a choice per value
    pasted = tf.bitwise.bitwise_and(differences, tf.reshape(masks, tf.shape(images)))
    return tf.bitwise.bitwise_xor(images, pasted)


def blend(values: tf.Tensor, partners: tf.Tensor, ratios: tf.Tensor) -> tf.Tensor:
    """Returns ratio * value + (1 - ratio) * partner in float32; the ratios are float64, of a shape that broadcasts."""
    return tf.cast(ratios, tf.float32) * values + tf.cast(1.0 - ratios, tf.float32) * partners
