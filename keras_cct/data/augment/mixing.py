"""Mixup and CutMix: every image is mixed with another image of its batch, and so is its target.

Reference: Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899; sampling as in timm 0.4.12.
"""

import dataclasses
import math

import tensorflow as tf

from keras_cct.data.augment.batches import apply_by_choice, static_shape
from keras_cct.data.augment.crop import box_masks
from keras_cct.data.rng import SampleKeys, to_integer
from keras_cct.errors import InputError, check_setting

MODES = ("batch", "pair", "elem")
MIX_DRAWS = 6
"""Uniform random numbers per mixture: whether to mix, CutMix or Mixup, two for the ratio, two for the box center."""

CACHED_VALUES, FEW_IMAGES = 2**20, 8
"""Batches of more values than the CPU's cache holds in float32 are blended a few images at a time."""


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Settings of Mixup and CutMix, with timm's keys and defaults.

    Args:
        mixup: Alpha of the Beta distribution of Mixup's ratio; 0 disables Mixup.
        cutmix: Alpha of the Beta distribution of CutMix's ratio; 0 disables CutMix.
        mixup_prob: Probability that a batch, pair or image is mixed, in [0, 1].
        mixup_switch_prob: Probability of CutMix instead of Mixup if both are enabled, in [0, 1].
        mixup_mode: Which images share one ratio: "batch", "pair" (an image and its partner) or "elem" (each image).
        mixup_off_epoch: First epoch without mixing, counted from 0; 0 to mix in every epoch.

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
        """Whether Mixup or CutMix is enabled."""
        return self.mixup > 0 or self.cutmix > 0


def soft_targets(labels: tf.Tensor, num_classes: int, smoothing: float) -> tf.Tensor:
    """Returns one-hot targets with label smoothing: `smoothing / num_classes` everywhere, the rest on the label.

    Args:
        labels: Integer tensor of shape (batch,).
        num_classes: Number of columns.
        smoothing: Probability mass spread over all classes, in [0, 1).

    Returns:
        Float32 tensor of shape (batch, num_classes); each row sums to 1.
    """
    off = smoothing / num_classes
    return tf.one_hot(labels, num_classes, on_value=1.0 - smoothing + off, off_value=off)


def check_batch_size(batch_size: int) -> None:
    """Checks that a batch can be mixed: image i is mixed with image batch_size - 1 - i.

    Raises:
        InputError: The batch size is odd.
    """
    if batch_size % 2:
        raise InputError(
            f"batch size must be even for mixup and cutmix, which pair the images of a batch, got {batch_size}. "
            "Choose an even batch size, or set mixup and cutmix to 0."
        )


def drawing_keys(keys: SampleKeys, mode: str, first_index: tf.Tensor | None = None) -> SampleKeys:
    """Returns, for every image of a batch, the key of the image whose random numbers it shares.

    Args:
        keys: Keys of the images, which are a whole batch or a part of one, with both images of each pair.
        mode: One of `MODES`.
        first_index: Index of the first image of the whole batch, int32 of shape (1,); by default that of `keys`.
    """
    indices = keys.indices
    if mode == "batch":
        indices = tf.repeat(indices[:1] if first_index is None else first_index, tf.size(indices))
    elif mode == "pair":
        half = tf.size(indices) // 2
        indices = tf.concat([indices[:half], indices[:half][::-1]], axis=0)
    return dataclasses.replace(keys, indices=indices)


def mix(
    images: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, epoch: tf.Tensor, mixing: Mixing
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes image i of a batch with image batch_size - 1 - i.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels) with a static, even batch size.
        targets: Float32 tensor of shape (batch, classes).
        draws: Float32 tensor of shape (batch, 6), uniform in [0, 1), drawn with `drawing_keys`.
        epoch: Scalar integer tensor, counted from 0.
        mixing: Settings.

    Returns:
        Images and targets of unchanged shapes and dtypes.
    """
    batch_size = static_shape(images)[0]
    height, width = static_shape(images)[1:3]
    ratios, is_cut = draw_ratios(draws, epoch, mixing)
    centers = to_integer(draws[:, 4], height), to_integer(draws[:, 5], width)
    boxes = cut_boxes(ratios, *centers, height, width)
    cut_ratios = 1.0 - tf.cast(boxes[:, 2] * boxes[:, 3], tf.float64) / (height * width)
    ratios = tf.where(is_cut, cut_ratios, ratios)
    choices = tf.where(ratios < 1, tf.where(is_cut, 2, 1), 0)
    partner_rows = batch_size - 1 - tf.range(batch_size)
    if mixing.mixup_mode == "batch":
        mixed = _mix_batch(images, choices[0], ratios, boxes)
    else:
        mixed = _mix_individually(images, partner_rows, choices, ratios, boxes)
    return mixed, blend(targets, tf.gather(targets, partner_rows), ratios[:, None])


def _mix_batch(images: tf.Tensor, choice: tf.Tensor, ratios: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Mixes all images of a batch in the same way; `choice` is 0 (no mixing), 1 (Mixup) or 2 (CutMix)."""
    partners = tf.reverse(images, [0])

    def blend_all() -> tf.Tensor:
        if images.shape.num_elements() <= CACHED_VALUES:
            return blend_pixels(images, partners, ratios)
        few = math.gcd(static_shape(images)[0], FEW_IMAGES)
        groups = [tf.reshape(values, (-1, few, *values.shape[1:])) for values in (images, partners, ratios)]
        mixed = tf.map_fn(
            lambda group: blend_pixels(group[0], group[1], group[2]),
            tuple(groups),
            fn_output_signature=tf.uint8,
            parallel_iterations=1,
        )
        return tf.reshape(mixed, images.shape)

    return tf.switch_case(choice, [lambda: images, blend_all, lambda: paste_boxes(images, partners, boxes)])


def _mix_individually(
    images: tf.Tensor, partner_rows: tf.Tensor, choices: tf.Tensor, ratios: tf.Tensor, boxes: tf.Tensor
) -> tf.Tensor:
    """Mixes each image in its own way; `choices` are 0 (no mixing), 1 (Mixup) or 2 (CutMix)."""

    def blend_chosen(chosen: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return blend_pixels(chosen, tf.gather(images, tf.gather(partner_rows, rows)), tf.gather(ratios, rows))

    def paste_chosen(chosen: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return paste_boxes(chosen, tf.gather(images, tf.gather(partner_rows, rows)), tf.gather(boxes, rows))

    return apply_by_choice(images, choices, [lambda chosen, rows: chosen, blend_chosen, paste_chosen])


def draw_ratios(draws: tf.Tensor, epoch: tf.Tensor, mixing: Mixing) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the ratio of each image in its mixture.

    Args:
        draws: Float32 tensor of shape (batch, 6), uniform in [0, 1).
        epoch: Scalar integer tensor, counted from 0.
        mixing: Settings.

    Returns:
        Ratios, float64 of shape (batch,), 1 for images that are not mixed, and a boolean tensor, true for CutMix.
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
    """Turns pairs of uniform random numbers into Beta(alpha, alpha) variates, without rejection.

    Args:
        draws: Float64 tensor of shape (batch, 2), uniform in [0, 1).
        alphas: Float64 tensor of shape (batch,), above 0.

    Returns:
        Float64 tensor of shape (batch,) in [0, 1].

    Reference: Devroye 1986, "Non-Uniform Random Variate Generation", IX.3.5, from Bailey's Student t variates.
    """
    power = (1.0 - draws[:, 0]) ** (1.0 / alphas)
    cosine = tf.cos(2 * math.pi * draws[:, 1])
    ratios = 0.5 + 0.5 * cosine * tf.sqrt((1 - power) / (power + (1 - power) * cosine * cosine))
    return tf.clip_by_value(ratios, 0.0, 1.0)  # rounding errors reach 1e-16


def cut_boxes(ratios: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the boxes of CutMix, which cover 1 - ratio of the image's area before they are clipped at its edges.

    Args:
        ratios: Float64 tensor of shape (batch,) in [0, 1].
        rows: int32 tensor of shape (batch,), rows of the box centers.
        columns: int32 tensor of shape (batch,), columns of the box centers.
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
    """Returns images mixed by Mixup, uint8, rounded half to even; `ratios` is a float64 tensor of shape (batch,)."""
    values, partner_values = (
        tf.cast(tf.reshape(pixels, (tf.size(ratios), -1)), tf.float32) for pixels in (images, partners)
    )
    mixed = tf.round(blend(values, partner_values, ratios[:, None]))  # (batch, height * width * channels)
    return tf.reshape(tf.cast(mixed, tf.uint8), tf.shape(images))


def paste_boxes(images: tf.Tensor, partners: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns images mixed by CutMix: the partners' pixels inside `boxes`, an int32 tensor of shape (batch, 4)."""
    height, width, channels = static_shape(images)[1:]
    masks = box_masks(boxes * tf.constant([1, channels, 1, channels]), height, width * channels)
    differences = tf.bitwise.bitwise_xor(images, partners)  # bitwise operations are several times faster than tf.where
    pasted = tf.bitwise.bitwise_and(differences, tf.reshape(masks, tf.shape(images)))
    return tf.bitwise.bitwise_xor(images, pasted)


def blend(values: tf.Tensor, partners: tf.Tensor, ratios: tf.Tensor) -> tf.Tensor:
    """Returns ratio * value + (1 - ratio) * partner in float32; `ratios` is float64, of a shape that broadcasts."""
    return tf.cast(ratios, tf.float32) * values + tf.cast(1.0 - ratios, tf.float32) * partners
