"""Affine transforms of images: rotation, shear and translation, with the same results as Pillow.

A transform is a 2 x 3 matrix (a, b, c; d, e, f) from output to input coordinates: the output pixel at (x, y) is sampled
at (a * x + b * y + c, d * x + e * y + f). Pixels are unit squares, so the center of the top left pixel is (0.5, 0.5).
The functions that make matrices take one parameter per image, a float64 tensor of shape (batch,), and the height and
width of the images. They return float64 tensors of shape (batch, 6).

Reference: Pillow's Geometry.c. Its bicubic kernel is the Keys kernel with a = -1 (in resizing, a = -0.5).
"""

import dataclasses
import functools
import math
import operator

import tensorflow as tf

from keras_cct.data.augment.batches import static_shape

TRUNCATION_SLACK = 2.0**-12
"""Added before truncation, so that float32 weights that sum to almost 1 do not turn a flat 200 into 199."""

GROUP_PIXELS = 2**13
"""Number of pixels, over all images, that one call of the compiled function transforms."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How the pixels of a transformed image are interpolated and filled.

    Args:
        is_bicubic: Boolean tensor of shape (batch,): bicubic, otherwise bilinear.
        fill_color: Value of each channel outside the input image, in [0, 255].
    """

    is_bicubic: tf.Tensor
    fill_color: tuple[int, ...]

    def gather(self, rows: tf.Tensor) -> "Resampling":
        """Returns the resampling of some images of the batch."""
        return Resampling(tf.gather(self.is_bicubic, rows), self.fill_color)


def shear_x(slopes: tf.Tensor, _height: int, _width: int) -> tf.Tensor:
    """Samples the pixel at (x, y) at (x + slope * y, y). The top left corner stays fixed."""
    return _matrices(1.0, slopes, 0.0, 0.0, 1.0, 0.0)


def shear_y(slopes: tf.Tensor, _height: int, _width: int) -> tf.Tensor:
    """Samples the pixel at (x, y) at (x, y + slope * x). The top left corner stays fixed."""
    return _matrices(1.0, 0.0, 0.0, slopes, 1.0, 0.0)


def translate_x(fractions: tf.Tensor, _height: int, width: int) -> tf.Tensor:
    """Samples the pixel at (x, y) at (x + fraction * width, y)."""
    return _matrices(1.0, 0.0, fractions * width, 0.0, 1.0, 0.0)


def translate_y(fractions: tf.Tensor, height: int, _width: int) -> tf.Tensor:
    """Samples the pixel at (x, y) at (x, y + fraction * height)."""
    return _matrices(1.0, 0.0, 0.0, 0.0, 1.0, fractions * height)


def rotate(degrees: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Rotates images counterclockwise about their center without changing their size."""
    cosine, sine = tf.cos(degrees * (math.pi / 180)), tf.sin(degrees * (math.pi / 180))
    x, y = width / 2, height / 2
    return _matrices(cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y)


def _matrices(*elements: tf.Tensor | float) -> tf.Tensor:
    batch_shape = next(tf.shape(element) for element in elements if tf.is_tensor(element))
    return tf.stack([tf.broadcast_to(tf.cast(element, tf.float64), batch_shape) for element in elements], axis=1)


def affine_transform(images: tf.Tensor, matrices: tf.Tensor, resampling: Resampling, axes: str) -> tf.Tensor:
    """Applies an affine transform to each image.

    Pixels sampled outside the image get the fill color. Inside it, interpolation repeats the pixels at the edges.
    Values are truncated, not rounded.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        matrices: Float64 tensor of shape (batch, 6), from output to input coordinates.
        resampling: Interpolation and fill color.
        axes: "x" or "y" if no pixel leaves its row or column, which is faster; otherwise "xy".

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    height, width, channels = static_shape(images)[1:]
    # XLA compiles one function per shape, so batches of any size are split into groups of a fixed size.
    group_size = max(1, GROUP_PIXELS // (height * width))
    count = tf.shape(images)[0]
    num_groups = -(-count // group_size)
    padding = num_groups * group_size - count

    def groups(values: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(values, [[0, padding]] + [[0, 0]] * (values.shape.rank - 1))
        return tf.reshape(padded, (-1, group_size, *values.shape[1:]))

    fill = tf.constant(resampling.fill_color, tf.uint8)
    transformed = tf.map_fn(
        lambda group: _transform_group(group[0], group[1], group[2], fill, axes),
        (groups(images), groups(matrices), groups(resampling.is_bicubic)),
        fn_output_signature=tf.TensorSpec((group_size, height, width, channels), tf.uint8),
    )  # (groups, group_size, height, width, channels)
    return tf.reshape(transformed, (-1, height, width, channels))[:count]


# XLA reads, weights and sums the sixteen neighbors of a pixel in registers, which is several times faster.
@tf.function(jit_compile=True, autograph=False)
def _transform_group(
    images: tf.Tensor, matrices: tf.Tensor, is_bicubic: tf.Tensor, fill: tf.Tensor, axes: str
) -> tf.Tensor:
    height, width, channels = static_shape(images)[1:]
    x, y = _sampling_positions(matrices, height, width)  # (batch, height, width) each
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    columns = _taps(x, width, is_bicubic, "x" in axes)
    first_rows = tf.range(static_shape(images)[0])[:, None, None] * height  # counted through all images
    rows = [(weight, (first_rows + row) * width) for weight, row in _taps(y, height, is_bicubic, "y" in axes)]
    pixels = tf.reshape(images, (-1, channels))

    def value_at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(pixels, row + column), tf.float32)  # (batch, height, width, channels)

    def value_in(row: tf.Tensor) -> tf.Tensor:
        return functools.reduce(operator.add, [weight * value_at(row, column) for weight, column in columns])

    values = functools.reduce(operator.add, [weight * value_in(row) for weight, row in rows])
    truncated = tf.cast(tf.clip_by_value(values + TRUNCATION_SLACK, 0, 255), tf.uint8)
    return tf.where(tf.expand_dims(is_inside, -1), truncated, fill)


def _sampling_positions(matrices: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.range(width, dtype=tf.float64) + 0.5  # (width,)
    y = tf.range(height, dtype=tf.float64)[:, None] + 0.5  # (height, 1)
    a, b, c, d, e, f = (element[:, None, None] for element in tf.unstack(matrices, axis=1))
    return a * x + b * y + c, d * x + e * y + f


def _taps(
    positions: tf.Tensor, side: int, is_bicubic: tf.Tensor, is_between: bool
) -> list[tuple[tf.Tensor | float, tf.Tensor]]:
    """Returns weight and index of the pixels to read along one axis: four, or one at pixel centers."""
    first = tf.floor(positions - 0.5)
    indices = tf.cast(first, tf.int32)
    if not is_between:
        return [(1.0, tf.clip_by_value(indices, 0, side - 1))]
    weights = _weights(tf.cast(positions - 0.5 - first, tf.float32), is_bicubic)
    return [
        (weight, tf.clip_by_value(indices + offset, 0, side - 1)) for offset, weight in enumerate(weights, start=-1)
    ]


def _weights(fractions: tf.Tensor, is_bicubic: tf.Tensor) -> list[tf.Tensor]:
    """Returns the weights of the four nearest pixels; `fractions` are the distances from the second pixel."""
    square = fractions * fractions
    cube = square * fractions
    cubic = 2 * square - cube - fractions, 1 - 2 * square + cube, fractions + square - cube, cube - square
    linear = tf.zeros_like(fractions), 1 - fractions, fractions, tf.zeros_like(fractions)
    chosen = is_bicubic[:, None, None]
    return [tf.expand_dims(tf.where(chosen, *pair), -1) for pair in zip(cubic, linear, strict=True)]
