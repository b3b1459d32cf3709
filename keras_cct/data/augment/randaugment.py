"""RandAugment: random operations on every image, as timm's policy strings describe them.

Reference: Cubuk et al. 2019, arXiv:1909.13719; the operations and their strengths are those of timm 0.4.12.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.augment.affine import Resampling
from keras_cct.data.augment.operations import INCREASING_NAMES, MAX_LEVEL, PLAIN_NAMES, apply_operations
from keras_cct.data.rng import to_integer, to_normal
from keras_cct.errors import InputError

APPLY_RATE = 0.5
"""Share of the chosen operations that are applied."""

DRAWS_PER_LAYER = 5
"""Random numbers per image and layer: operation, whether it applies, level, sign, resampling."""


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A policy.

    Args:
        magnitude: Mean level of the operations, 0 to 10.
        magnitude_std: Standard deviation of the level, before it is clipped to 0..10.
        num_layers: Operations drawn per image, with replacement, applied in turn.
        is_increasing: Whether a higher level is a stronger effect in every operation.
    """

    magnitude: float = MAX_LEVEL
    magnitude_std: float = 0.0
    num_layers: int = 2
    is_increasing: bool = False

    @property
    def num_draws(self) -> int:
        """Random numbers that `rand_augment` takes per image."""
        return DRAWS_PER_LAYER * self.num_layers

    @property
    def operation_names(self) -> tuple[str, ...]:
        """Names of the operations to draw from."""
        return INCREASING_NAMES if self.is_increasing else PLAIN_NAMES


def parse_policy(policy: str) -> RandAugment:
    """Reads a policy string such as "rand-m9-mstd0.5-inc1".

    Its parts, in any order: m (magnitude, default 10), mstd (its standard deviation, 0), n (layers, 2) and inc
    (1: the increasing operations, 0: the plain ones; timm 0.4.12 takes 0 for 1).

    Raises:
        InputError: The string has another form, another part or a value out of range.
    """
    kind, *parts = policy.split("-")
    if kind != "rand":
        raise InputError(f"unknown augmentation policy {policy!r}. Write one like 'rand-m9-mstd0.5-inc1'.")
    values = {}
    for part in parts:
        key = part.rstrip("0123456789.")
        if key not in POLICY_PARTS:
            raise InputError(f"unknown part {part!r} in policy {policy!r}. Choose from {POLICY_HELP}.")
        field, read, is_allowed, _ = POLICY_PARTS[key]
        try:
            value = read(part[len(key) :])
        except ValueError:
            value = math.nan  # within no range
        if not is_allowed(value):
            raise InputError(f"part {part!r} of policy {policy!r} is out of range. Allowed: {POLICY_HELP}.")
        values[field] = value
    if "is_increasing" in values:
        values["is_increasing"] = bool(values["is_increasing"])
    return RandAugment(**values)


POLICY_PARTS: dict[str, tuple[str, Callable, Callable, str]] = {
    "m": ("magnitude", float, lambda value: 0 <= value <= MAX_LEVEL, "from 0 to 10"),
    "mstd": ("magnitude_std", float, math.isfinite, "at least 0"),
    "n": ("num_layers", int, lambda value: 1 <= value <= 16, "from 1 to 16"),
    "inc": ("is_increasing", int, lambda value: value in (0, 1), "0 or 1"),
}
POLICY_HELP = ", ".join(f"{key} ({allowed})" for key, (*_, allowed) in POLICY_PARTS.items())


def rand_augment(
    images: tf.Tensor, draws: tf.Tensor, policy: RandAugment, interpolation: str, fill_color: tuple[int, ...]
) -> tf.Tensor:
    """Applies a policy's operations to a batch.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels); 1 or 3 channels.
        draws: Float32 tensor of shape (batch, policy.num_draws), uniform in 0..1.
        policy: The policy.
        interpolation: "bilinear", "bicubic" or "random", which is either, drawn per operation.
        fill_color: Value of each channel, 0..255, for pixels that come from outside the image.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    for layer_draws in tf.split(draws, policy.num_layers, axis=1):
        choices, levels, signs = draw_operations(layer_draws, policy)
        resampling = Resampling(is_bicubic(layer_draws[:, 4], interpolation), fill_color)
        names = ("Identity", *policy.operation_names)
        images = apply_operations(images, names, choices, levels, signs, resampling)
    return images


def draw_operations(draws: tf.Tensor, policy: RandAugment) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws an operation per image.

    Args:
        draws: Float32 tensor of shape (batch, 5), uniform in 0..1.
        policy: The policy.

    Returns:
        Three tensors of shape (batch,): int32 choices, 0 for the images that stay as they are and otherwise 1 + the
        index into `policy.operation_names`; float64 levels, 0 to 10; float64 signs, 1 or -1.
    """
    choices = 1 + to_integer(draws[:, 0], len(policy.operation_names))
    choices = tf.where(draws[:, 1] < APPLY_RATE, choices, 0)
    levels = policy.magnitude + policy.magnitude_std * to_normal(tf.cast(draws[:, 2], tf.float64))
    signs = tf.where(draws[:, 3] < 0.5, tf.ones_like(levels), -tf.ones_like(levels))
    return choices, tf.clip_by_value(levels, 0, MAX_LEVEL), signs


def is_bicubic(draws: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Returns, as a boolean tensor of the shape of `draws`, which images to resample bicubically, else bilinearly."""
    share = {"bilinear": 0.0, "random": 0.5, "bicubic": 1.0}[interpolation]
    return draws < share
