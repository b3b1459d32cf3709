"""The augmentation of a recipe, parsed and checked once.

`Augmentation.from_recipe` reads the augmentation keys of a recipe, which needs no images. Its method `for_images` adds
the image shape and the batch size, and returns the `AugmentationPlan` that the input pipeline applies.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.augment.erasing import Erasing
from keras_cct.data.augment.library_layers import LibraryLayer, create_library_layer, is_library_layer
from keras_cct.data.augment.mixing import Mixing, check_batch_size
from keras_cct.data.augment.randaugment import RandAugment, parse_policy
from keras_cct.data.decode import ResizeAndCrop
from keras_cct.errors import InputError, check_setting
from keras_cct.recipe.recipe import Recipe

INTERPOLATIONS = ("random", "bilinear", "bicubic")

GROUP_PIXELS = 1024 * 32 * 32
"""Pixels per group of small images. Larger groups do not fit into the CPU's cache; smaller ones have more overhead."""


@dataclasses.dataclass(frozen=True)
class Cropping:
    """Settings of RandomResizedCrop and of the flips, named by timm's keys.

    Args:
        scale: Smallest and largest area of the crop as a fraction of the image area, in (0, 1].
        ratio: Smallest and largest width / height of the crop.
        hflip: Probability of a horizontal flip, in [0, 1].
        vflip: Probability of a vertical flip, in [0, 1].
        train_interpolation: "bilinear", "bicubic" or "random", which draws one of them.

    Raises:
        InputError: A value is unknown or out of range.
    """

    scale: tuple[float, ...]
    ratio: tuple[float, ...]
    hflip: float
    vflip: float
    train_interpolation: str

    def __post_init__(self) -> None:
        for key in ("scale", "ratio"):
            values = getattr(self, key)
            is_range = len(values) == 2 and 0 < values[0] <= values[1]
            check_setting(key, values, is_range, "two numbers above 0, the lower one first")
        check_setting("scale", self.scale, self.scale[1] <= 1, "at most 1")
        for key in ("hflip", "vflip"):
            check_setting(key, getattr(self, key), 0 <= getattr(self, key) <= 1, "from 0 to 1")
        is_known = self.train_interpolation in INTERPOLATIONS
        check_setting("train_interpolation", self.train_interpolation, is_known, f"one of {', '.join(INTERPOLATIONS)}")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The augmentation of a recipe, for images of any shape and batches of any size.

    Args:
        mean: Mean of each channel, for pixels in [0, 1]. Pixels from outside an image get this color.
        std: Standard deviation of each channel, for pixels in [0, 1].
        no_aug: Whether images are only resized, center-cropped and, if enabled, mixed.
        cropping: Settings of the random crop.
        policy: RandAugment or a library layer; None for color jitter.
        color_jitter: Strength of the jitter of brightness, contrast and saturation if there is no policy; 0 for none.
        mixing: Settings of Mixup and CutMix.
        erasing: Settings of RandomErasing.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    no_aug: bool
    cropping: Cropping
    policy: RandAugment | LibraryLayer | None
    color_jitter: float
    mixing: Mixing
    erasing: Erasing

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Augmentation":
        """Parses and checks the augmentation keys of a recipe.

        Raises:
            InputError: A key is unknown or out of range.
        """
        mixing = Mixing(
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
            mixup_prob=recipe.mixup_prob,
            mixup_switch_prob=recipe.mixup_switch_prob,
            mixup_mode=recipe.mixup_mode,
            mixup_off_epoch=recipe.mixup_off_epoch,
        )
        check_setting("color_jitter", recipe.color_jitter, recipe.color_jitter >= 0, "at least 0")
        for key in ("mean", "std"):
            check_setting(key, getattr(recipe, key), len(getattr(recipe, key)) >= 1, "one number, or one per channel")
        return cls(
            mean=recipe.mean,
            std=recipe.std,
            no_aug=recipe.no_aug,
            cropping=Cropping(recipe.scale, recipe.ratio, recipe.hflip, recipe.vflip, recipe.train_interpolation),
            policy=_create_policy(recipe),
            color_jitter=recipe.color_jitter,
            mixing=mixing,
            erasing=Erasing(reprob=recipe.reprob, remode=recipe.remode, recount=recipe.recount),
        )

    def check_batch_size(self, batch_size: int) -> None:
        """Checks, before the images are known, that batches of this size can be mixed if Mixup or CutMix is enabled.

        Raises:
            InputError: The batch size is odd.
        """
        if self.mixing.is_active:
            check_batch_size(batch_size)

    def for_images(self, image_shape: tuple[int, int, int], batch_size: int) -> "AugmentationPlan":
        """Returns the plan for images of one shape and batches of one size.

        Args:
            image_shape: Input shape (height, width, channels) of the model.
            batch_size: Images per step, over all devices.

        Raises:
            InputError: Batches of this size cannot be mixed, the mean or standard deviation has the wrong number of
                channels, or such images have no colors to change or are not accepted by the library layer.
        """
        self.check_batch_size(batch_size)
        *_, channels = image_shape
        if not {len(self.mean), len(self.std)} <= {1, channels}:
            values = "1 value" if channels == 1 else f"{channels} values"
            raise InputError(
                f"recipe keys mean={list(self.mean)} and std={list(self.std)} do not match images with "
                f"{channels} channel{'s' * (channels > 1)}. Set mean and std to {values} each; `keras_cct data stats` "
                f"measures them."
            )
        self._check_colors(channels)
        layer = self.policy.for_images(image_shape) if isinstance(self.policy, LibraryLayer) else None
        return AugmentationPlan(self, image_shape, batch_size, layer)

    def _check_colors(self, channels: int) -> None:
        changes_colors = isinstance(self.policy, RandAugment) or (self.policy is None and self.color_jitter > 0)
        if channels not in (1, 3) and changes_colors and not self.no_aug:
            key, neutral = ("aa", "''") if self.policy is not None else ("color_jitter", "0")
            raise InputError(
                f"recipe key {key} changes the colors of images with 1 or 3 channels, but these have {channels}. Set "
                f"{key} to {neutral}."
            )


def _create_policy(recipe: Recipe) -> RandAugment | LibraryLayer | None:
    if is_library_layer(recipe.aa):
        return create_library_layer(recipe.aa, recipe.aa_args, recipe.seed)
    if recipe.aa_args:
        raise InputError(
            f"aa_args={recipe.aa_args} has no effect with aa={recipe.aa!r}. Set aa to a layer such as "
            f"keras_cv.AugMix, or leave aa_args out."
        )
    return parse_policy(recipe.aa) if recipe.aa else None


@dataclasses.dataclass(frozen=True)
class AugmentationPlan:
    """Everything that the input pipeline does to images of one shape; made by `Augmentation.for_images`.

    Args:
        augmentation: The parsed and checked keys of the recipe.
        image_shape: (height, width, channels) of the augmented images.
        batch_size: Images per step, over all devices.
        layer: The library layer as a function of uint8 batches; None if the policy is not a library layer.
    """

    augmentation: Augmentation
    image_shape: tuple[int, int, int]
    batch_size: int
    layer: Callable[[tf.Tensor], tf.Tensor] | None

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the augmented images."""
        return self.image_shape[:2]

    @property
    def fill_color(self) -> tuple[int, ...]:
        """Value of each channel, in [0, 255], for pixels from outside an image."""
        return tuple(min(255, round(255 * mean)) for mean in self.augmentation.mean)

    @property
    def resize(self) -> ResizeAndCrop:
        """How images are resized and center-cropped with `no_aug`."""
        interpolation = self.augmentation.cropping.train_interpolation
        return ResizeAndCrop(*self.image_size, interpolation="bilinear" if interpolation == "random" else interpolation)

    @property
    def group_size(self) -> int:
        """Images to pass to `change_pixels` at once: one batch, or several batches of small images."""
        if self.layer is not None:
            return self.batch_size  # a library layer may compute across the batch
        height, width = self.image_size
        return self.batch_size * max(1, GROUP_PIXELS // (self.batch_size * height * width))
