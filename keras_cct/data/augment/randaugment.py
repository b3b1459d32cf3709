"""RandAugment: random operations on every image, configured by timm's policy strings.

Reference: Cubuk et al. 2019, arXiv:1909.13719; operations and strengths as in timm 0.4.12.
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
"""Probability that a drawn operation is applied."""

DRAWS_PER_LAYER = 5
"""Uniform random numbers per image and layer: operation, whether it is applied, level, sign, interpolation."""


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A RandAugment policy.

    Args:
        magnitude: Mean level of the operations, in [0, 10].
        magnitude_std: Standard deviation of the level, before it is clipped to [0, 10].
        num_layers: Operations drawn per image, with replacement, and applied in sequence.
        is_increasing: Whether a higher level has a stronger effect in every operation.
    """

    magnitude: float = MAX_LEVEL
    magnitude_std: float = 0.0
    num_layers: int = 2
    is_increasing: bool = False

    @property
    def num_draws(self) -> int:
        """Number of uniform random numbers per image that `rand_augment` uses."""
        return DRAWS_PER_LAYER * self.num_layers

    @property
    def operation_names(self) -> tuple[str, ...]:
        """Names of the operations to draw from."""
        return INCREASING_NAMES if self.is_increasing else PLAIN_NAMES


def parse_policy(policy: str) -> RandAugment:
    """Parses a policy string such as "rand-m9-mstd0.5-inc1".

    Its parts, in any order: m (magnitude, default 10), mstd (its standard deviation, default 0), n (number of layers,
    default 2) and inc (1 for increasing operations, 0 for plain ones; timm 0.4.12 treats 0 like 1).

    Raises:
        InputError: The string is not a RandAugment policy, or a part is unknown or out of range.
    """
    prefix, *parts = policy.split("-")
    if prefix != "rand":
        raise InputError(f"unknown augmentation policy {policy!r}. Use one like 'rand-m9-mstd0.5-inc1'.")
    values = {}
    for part in parts:
        key = part.rstrip("0123456789.")
        if key not in POLICY_PARTS:
            raise InputError(f"unknown part {part!r} in policy {policy!r}. Choose from {POLICY_HELP}.")
        field, number_type, is_allowed, _ = POLICY_PARTS[key]
        try:
            value = number_type(part[len(key) :])
        except ValueError:
            value = math.nan  # outside of every range
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
        draws: Float32 tensor of shape (batch, policy.num_draws), uniform in [0, 1).
        policy: The policy.
        interpolation: "bilinear", "bicubic" or "random", which draws one of them per operation.
        fill_color: Value of each channel, in [0, 255], for pixels from outside the image.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    for layer_draws in tf.split(draws, policy.num_layers, axis=1):
        images = _apply_layer(images, layer_draws, policy, interpolation, fill_color)
    return images


@tf.function(autograph=False)  # one graph for all layers
def _apply_layer(
    images: tf.Tensor, draws: tf.Tensor, policy: RandAugment, interpolation: str, fill_color: tuple[int, ...]
) -> tf.Tensor:
    choices, levels, signs = draw_operations(draws, policy)
    resampling = Resampling(is_bicubic(draws[:, 4], interpolation), fill_color)
    names = ("Identity", *policy.operation_names)
    return apply_operations(images, names, choices, levels, signs, resampling)


def draw_operations(draws: tf.Tensor, policy: RandAugment) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws an operation per image.

    Args:
        draws: Float32 tensor of shape (batch, 5), uniform in [0, 1).
        policy: The policy.

    Returns:
        Three tensors of shape (batch,): int32 choices, 0 for unchanged images and otherwise 1 + the index into
        `policy.operation_names`; float64 levels in [0, 10]; float64 signs, 1 or -1.
    """
    choices = 1 + to_integer(draws[:, 0], len(policy.operation_names))
    choices = tf.where(draws[:, 1] < APPLY_RATE, choices, 0)
    levels = policy.magnitude + policy.magnitude_std * to_normal(tf.cast(draws[:, 2], tf.float64))
    signs = tf.where(draws[:, 3] < 0.5, tf.ones_like(levels), -tf.ones_like(levels))
    return choices, tf.clip_by_value(levels, 0, MAX_LEVEL), signs


def is_bicubic(draws: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Returns which images to resample bicubically, not bilinearly, as a boolean tensor of the shape of `draws`."""
    bicubic_rate = {"bilinear": 0.0, "random": 0.5, "bicubic": 1.0}[interpolation]
    return draws < bicubic_rate
