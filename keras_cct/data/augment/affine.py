"""Rotations, shears and translations of images, computed as Pillow computes them.

Each is an affine map: it takes the pixel at x, y from a * x + b * y + c, d * x + e * y + f, with pixels at the middles
of unit squares from the top left corner. The functions that describe one take an argument per image, a float64 tensor
of shape (batch,), and the height and width of the images, and return the six numbers, float64 of shape (batch, 6).

Reference: Pillow's Geometry.c; its bicubic kernel is that of Keys with a = -1 (resizing has a = -0.5).
"""

import dataclasses
import math

import tensorflow as tf

TRUNCATION_SLACK = 2.0**-12
"""Added before truncation: float32 weights that sum to nearly 1 must not turn a flat 200 into 199."""

GROUP_PIXELS = 2**13
"""Pixels of the images that are moved by one call of a compiled function."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How to fill a moved image.

    Args:
        is_bicubic: Boolean tensor of shape (batch,): bicubic or else bilinear.
        fill_color: Value of each channel outside the image, 0..255.
    """

    is_bicubic: tf.Tensor
    fill_color: tuple[int, ...]

    def rows(self, rows: tf.Tensor) -> "Resampling":
        """Returns the resampling of some images of the batch."""
        return Resampling(tf.gather(self.is_bicubic, rows), self.fill_color)


def shear_x(slopes: tf.Tensor, _height: int, _width: int) -> tf.Tensor:
    """Takes the pixel at x, y from x + slope * y, y; the top left corner stays."""
    return _maps(1.0, slopes, 0.0, 0.0, 1.0, 0.0)


def shear_y(slopes: tf.Tensor, _height: int, _width: int) -> tf.Tensor:
    """Takes the pixel at x, y from x, y + slope * x; the top left corner stays."""
    return _maps(1.0, 0.0, 0.0, slopes, 1.0, 0.0)


def translate_x(fractions: tf.Tensor, _height: int, width: int) -> tf.Tensor:
    """Takes the pixel at x, y from x + fraction * width, y."""
    return _maps(1.0, 0.0, fractions * width, 0.0, 1.0, 0.0)


def translate_y(fractions: tf.Tensor, height: int, _width: int) -> tf.Tensor:
    """Takes the pixel at x, y from x, y + fraction * height."""
    return _maps(1.0, 0.0, 0.0, 0.0, 1.0, fractions * height)


def rotate(degrees: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Turns images counter-clockwise about their center; they keep their size."""
    cosine, sine = tf.cos(degrees * (math.pi / 180)), tf.sin(degrees * (math.pi / 180))
    x, y = width / 2, height / 2
    return _maps(cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y)


def _maps(*numbers: tf.Tensor | float) -> tf.Tensor:
    count = next(tf.shape(number) for number in numbers if tf.is_tensor(number))
    return tf.stack([tf.broadcast_to(tf.cast(number, tf.float64), count) for number in numbers], axis=1)


def move(images: tf.Tensor, maps: tf.Tensor, resampling: Resampling, axes: str) -> tf.Tensor:
    """Moves the pixels of images.

    A pixel whose source lies outside the image gets the fill color; inside, the pixels beyond the edge count as the
    pixels at the edge. Values are truncated, not rounded.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        maps: Float64 tensor of shape (batch, 6), where the pixels come from.
        resampling: How to fill the images.
        axes: "x" or "y" if no pixel leaves its row or column, which saves work; otherwise "xy".

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    height, width, channels = images.shape[1:]
    # The compiler makes one function per shape: groups of one size serve every number of images.
    group_size = max(1, GROUP_PIXELS // (height * width))
    count = tf.shape(images)[0]
    num_groups = -(-count // group_size)
    padding = num_groups * group_size - count

    def groups(values: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(values, [[0, padding]] + [[0, 0]] * (values.shape.rank - 1))
        return tf.reshape(padded, (-1, group_size, *values.shape[1:]))

    fill = tf.constant(resampling.fill_color, tf.uint8)
    moved = tf.map_fn(
        lambda group: _move(*group, fill, axes),
        (groups(images), groups(maps), groups(resampling.is_bicubic)),
        fn_output_signature=tf.TensorSpec((group_size, height, width, channels), tf.uint8),
    )  # (groups, group_size, height, width, channels)
    return tf.reshape(moved, (-1, height, width, channels))[:count]


# Compiled, every pixel's sixteen neighbors are read, weighted and summed in registers: several times faster.
@tf.function(jit_compile=True)
def _move(images: tf.Tensor, maps: tf.Tensor, is_bicubic: tf.Tensor, fill: tf.Tensor, axes: str) -> tf.Tensor:
    count, height, width, channels = images.shape
    x, y = _sources(maps, height, width)  # (batch, height, width) each
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    columns = _taps(x, width, is_bicubic, "x" in axes)
    first_rows = tf.range(count)[:, None, None] * height  # counted through all images
    rows = [(weight, (first_rows + row) * width) for weight, row in _taps(y, height, is_bicubic, "y" in axes)]
    pixels = tf.reshape(images, (-1, channels))

    def value_at(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.gather(pixels, row + column), tf.float32)  # (batch, height, width, channels)

    def value_in(row: tf.Tensor) -> tf.Tensor:
        return sum(weight * value_at(row, column) for weight, column in columns)

    values = sum(weight * value_in(row) for weight, row in rows)
    truncated = tf.cast(tf.clip_by_value(values + TRUNCATION_SLACK, 0, 255), tf.uint8)
    return tf.where(is_inside[..., None], truncated, fill)


def _sources(maps: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.range(width, dtype=tf.float64) + 0.5  # (width,)
    y = tf.range(height, dtype=tf.float64)[:, None] + 0.5  # (height, 1)
    a, b, c, d, e, f = (number[:, None, None] for number in tf.unstack(maps, axis=1))
    return a * x + b * y + c, d * x + e * y + f


def _taps(
    positions: tf.Tensor, side: int, is_bicubic: tf.Tensor, is_between: bool
) -> list[tuple[tf.Tensor | float, tf.Tensor]]:
    """Returns weight and number of the pixels to read along one axis: four, or one if no position is between pixels."""
    first = tf.floor(positions - 0.5)
    numbers = tf.cast(first, tf.int32)
    if not is_between:
        return [(1.0, tf.clip_by_value(numbers, 0, side - 1))]
    weights = _weights(tf.cast(positions - 0.5 - first, tf.float32), is_bicubic)
    return [
        (weight, tf.clip_by_value(numbers + offset, 0, side - 1)) for offset, weight in enumerate(weights, start=-1)
    ]


def _weights(fractions: tf.Tensor, is_bicubic: tf.Tensor) -> list[tf.Tensor]:
    """Returns the weights of the four pixels around positions, given how far they lie from the second to the third."""
    square = fractions * fractions
    cube = square * fractions
    cubic = 2 * square - cube - fractions, 1 - 2 * square + cube, fractions + square - cube, cube - square
    linear = tf.zeros_like(fractions), 1 - fractions, fractions, tf.zeros_like(fractions)
    chosen = is_bicubic[:, None, None]
    return [tf.where(chosen, *pair)[..., None] for pair in zip(cubic, linear, strict=True)]
