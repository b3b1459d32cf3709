"""The operations of RandAugment, and how the strength of each depends on the level in [0, 10]."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.augment import affine
from keras_cct.data.augment import pixels as pixel_ops
from keras_cct.data.augment.affine import Resampling, affine_transform
from keras_cct.data.augment.batches import BatchOperation, apply_by_choice, static_shape

MAX_LEVEL = 10.0

Argument = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Function of strengths (level / 10) and signs (1 or -1), float64 tensors of shape (batch,)."""


@dataclasses.dataclass(frozen=True)
class PixelOperation:
    """An operation on pixel values.

    Args:
        apply: Function of images and, if there is an `argument`, of its values. Returns images.
        argument: Computes the argument from strength and sign; None for an operation without an argument.
    """

    apply: Callable[..., tf.Tensor]
    argument: Argument | None = None

    def __call__(self, images: tf.Tensor, strengths: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
        """Applies the operation to every image."""
        arguments = [self.argument(strengths, signs)] if self.argument else []
        return self.apply(images, *arguments)


@dataclasses.dataclass(frozen=True)
class AffineOperation:
    """An affine transform.

    Args:
        matrices: Function of the argument, height and width. Returns matrices for `affine_transform`.
        argument: Computes the argument from strength and sign.
        axes: Axes along which pixels move: "x", "y" or "xy".
    """

    matrices: Callable[[tf.Tensor, int, int], tf.Tensor]
    argument: Argument
    axes: str


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
    "Identity": PixelOperation(tf.identity),
    "AutoContrast": PixelOperation(pixel_ops.auto_contrast),
    "Equalize": PixelOperation(pixel_ops.equalize),
    "Invert": PixelOperation(pixel_ops.invert),
    "Rotate": AffineOperation(affine.rotate, lambda strengths, signs: signs * (strengths * 30), "xy"),
    "Posterize": PixelOperation(pixel_ops.posterize, lambda strengths, _: _truncate(strengths * 4)),
    "PosterizeIncreasing": PixelOperation(pixel_ops.posterize, lambda strengths, _: 4 - _truncate(strengths * 4)),
    "Solarize": PixelOperation(pixel_ops.solarize, lambda strengths, _: _truncate(strengths * 256)),
    "SolarizeIncreasing": PixelOperation(pixel_ops.solarize, lambda strengths, _: 256 - _truncate(strengths * 256)),
    "SolarizeAdd": PixelOperation(pixel_ops.solarize_add, lambda strengths, _: _truncate(strengths * 110)),
    "Color": PixelOperation(pixel_ops.color, _factor),
    "ColorIncreasing": PixelOperation(pixel_ops.color, _factor_increasing),
    "Contrast": PixelOperation(pixel_ops.contrast, _factor),
    "ContrastIncreasing": PixelOperation(pixel_ops.contrast, _factor_increasing),
    "Brightness": PixelOperation(pixel_ops.brightness, _factor),
    "BrightnessIncreasing": PixelOperation(pixel_ops.brightness, _factor_increasing),
    "Sharpness": PixelOperation(pixel_ops.sharpness, _factor),
    "SharpnessIncreasing": PixelOperation(pixel_ops.sharpness, _factor_increasing),
    "ShearX": AffineOperation(affine.shear_x, _slope, "x"),
    "ShearY": AffineOperation(affine.shear_y, _slope, "y"),
    "TranslateXRel": AffineOperation(affine.translate_x, _fraction, "x"),
    "TranslateYRel": AffineOperation(affine.translate_y, _fraction, "y"),
}
"""Operations by timm's names, and "Identity". With "Increasing", a higher level has a stronger effect."""

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
    """Applies one operation, chosen per image, to each image.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        names: Names of operations.
        choices: int32 tensor of shape (batch,), indices into `names`.
        levels: Float64 tensor of shape (batch,) in [0, 10].
        signs: Float64 tensor of shape (batch,), 1 or -1.
        resampling: Interpolation and fill color of affine transforms.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    strengths = levels / MAX_LEVEL
    height, width = static_shape(images)[1:3]
    matrices = _chosen_matrices(names, choices, strengths, signs, height, width)

    def bind_pixel_operation(operation: PixelOperation) -> BatchOperation:
        return lambda chosen, rows: operation(chosen, tf.gather(strengths, rows), tf.gather(signs, rows))

    def bind_affine_transform(axes: str) -> BatchOperation:
        return lambda chosen, rows: affine_transform(chosen, tf.gather(matrices, rows), resampling.gather(rows), axes)

    functions = {}
    function_names = []
    for name in names:
        operation = OPERATIONS[name]
        if isinstance(operation, AffineOperation):
            # Transforms along the same axes are one function, with a matrix per image.
            function_names.append(operation.axes)
            functions[operation.axes] = bind_affine_transform(operation.axes)
        else:
            function_names.append(name)
            functions[name] = bind_pixel_operation(operation)
    function_indices = tf.constant([list(functions).index(name) for name in function_names])
    return apply_by_choice(images, tf.gather(function_indices, choices), list(functions.values()))


def _chosen_matrices(
    names: tuple[str, ...], choices: tf.Tensor, strengths: tf.Tensor, signs: tf.Tensor, height: int, width: int
) -> tf.Tensor:
    """Returns the matrices of the chosen transforms, float64 of shape (batch, 6); zeros for pixel operations."""
    zeros = tf.zeros((tf.size(choices), 6), tf.float64)
    operations = [OPERATIONS[name] for name in names]
    matrices = [
        operation.matrices(operation.argument(strengths, signs), height, width)
        if isinstance(operation, AffineOperation)
        else zeros
        for operation in operations
    ]
    return tf.gather(tf.stack(matrices, axis=1), choices, batch_dims=1)  # (batch, names, 6) -> (batch, 6)
