"""The operations that RandAugment draws from, and how strong each is at a level of 0 to 10."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.augment import affine as geometry
from keras_cct.data.augment import pixels as pixel_ops
from keras_cct.data.augment.affine import Resampling
from keras_cct.data.augment.choice import apply_by_choice

MAX_LEVEL = 10.0
AXES = ("x", "y", "xy")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation on images.

    Args:
        apply: Function of images and, if there is an `argument`, of arguments; returns images. If the operation moves
            pixels, function of arguments, height and width; returns the maps that `geometry.move` takes.
        argument: Function of the strength, the level as a share of the highest, and of a sign of 1 or -1, both
            float64 tensors of shape (batch,); returns the arguments of `apply`.
        axes: Along which axes pixels move: "", "x", "y" or "xy".
    """

    apply: Callable[..., tf.Tensor]
    argument: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    axes: str = ""

    def __call__(self, images: tf.Tensor, strengths: tf.Tensor, signs: tf.Tensor, resampling: Resampling) -> tf.Tensor:
        """Applies the operation to every image."""
        arguments = [self.argument(strengths, signs)] if self.argument else []
        if self.axes:
            return geometry.move(images, self.apply(*arguments, *images.shape[1:3]), resampling, self.axes)
        return self.apply(images, *arguments)


def _truncate(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.int32)


def _factor(strengths: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return 0.1 + strengths * 1.8


def _factor_increasing(strengths: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    return 1.0 + signs * (strengths * 0.9)


def _slope(strengths: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    return signs * (strengths * 0.3)


def _fraction(strengths: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    return signs * (strengths * 0.45)


OPERATIONS = {
    "Identity": Operation(tf.identity),
    "AutoContrast": Operation(pixel_ops.auto_contrast),
    "Equalize": Operation(pixel_ops.equalize),
    "Invert": Operation(pixel_ops.invert),
    "Rotate": Operation(geometry.rotate, lambda strengths, signs: signs * (strengths * 30), "xy"),
    "Posterize": Operation(pixel_ops.posterize, lambda strengths, _: _truncate(strengths * 4)),
    "PosterizeIncreasing": Operation(pixel_ops.posterize, lambda strengths, _: 4 - _truncate(strengths * 4)),
    "Solarize": Operation(pixel_ops.solarize, lambda strengths, _: _truncate(strengths * 256)),
    "SolarizeIncreasing": Operation(pixel_ops.solarize, lambda strengths, _: 256 - _truncate(strengths * 256)),
    "SolarizeAdd": Operation(pixel_ops.solarize_add, lambda strengths, _: _truncate(strengths * 110)),
    "Color": Operation(pixel_ops.color, _factor),
    "ColorIncreasing": Operation(pixel_ops.color, _factor_increasing),
    "Contrast": Operation(pixel_ops.contrast, _factor),
    "ContrastIncreasing": Operation(pixel_ops.contrast, _factor_increasing),
    "Brightness": Operation(pixel_ops.brightness, _factor),
    "BrightnessIncreasing": Operation(pixel_ops.brightness, _factor_increasing),
    "Sharpness": Operation(pixel_ops.sharpness, _factor),
    "SharpnessIncreasing": Operation(pixel_ops.sharpness, _factor_increasing),
    "ShearX": Operation(geometry.shear_x, _slope, "x"),
    "ShearY": Operation(geometry.shear_y, _slope, "y"),
    "TranslateXRel": Operation(geometry.translate_x, _fraction, "x"),
    "TranslateYRel": Operation(geometry.translate_y, _fraction, "y"),
}
"""Operations by timm's names, and the one that does nothing. "Increasing": a higher level is a stronger effect."""

PLAIN_NAMES = tuple(name for name in OPERATIONS if name != "Identity" and not name.endswith("Increasing"))
INCREASING_NAMES = tuple(f"{name}Increasing" if f"{name}Increasing" in OPERATIONS else name for name in PLAIN_NAMES)


def apply_operations(
    images: tf.Tensor,
    names: tuple[str, ...],
    choices: tf.Tensor,
    levels: tf.Tensor,
    signs: tf.Tensor,
    resampling: Resampling,
) -> tf.Tensor:
    """Applies one operation to each image.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        names: Names of operations.
        choices: int32 tensor of shape (batch,), which of `names`.
        levels: Float64 tensor of shape (batch,), 0 to 10.
        signs: Float64 tensor of shape (batch,), 1 or -1.
        resampling: How to fill images that are moved.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    strengths = levels / MAX_LEVEL
    maps = _chosen_maps(names, choices, strengths, signs, images.shape[1:3])

    def bind(operation: Operation) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        return lambda chosen, rows: operation(chosen, tf.gather(strengths, rows), tf.gather(signs, rows), resampling)

    def bind_move(axes: str) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        return lambda chosen, rows: geometry.move(chosen, tf.gather(maps, rows), resampling.rows(rows), axes)

    # Moves along the same axes are one, with a map for each image.
    kinds = [OPERATIONS[name].axes or name for name in names]
    functions = {kind: bind_move(kind) if kind in AXES else bind(OPERATIONS[kind]) for kind in kinds}
    places = tf.constant([list(functions).index(kind) for kind in kinds])
    return apply_by_choice(images, tf.gather(places, choices), list(functions.values()))


def _chosen_maps(
    names: tuple[str, ...], choices: tf.Tensor, strengths: tf.Tensor, signs: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Returns the maps of the moves chosen, float64 of shape (batch, 6); zeros for the other images."""
    no_maps = tf.zeros((tf.size(choices), 6), tf.float64)
    operations = [OPERATIONS[name] for name in names]
    maps = [each.apply(each.argument(strengths, signs), *size) if each.axes else no_maps for each in operations]
    return tf.gather(tf.stack(maps, axis=1), choices, batch_dims=1)  # (batch, names, 6) -> (batch, 6)
