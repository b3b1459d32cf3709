"""Rotations, shears and translations of images, computed as Pillow computes them.

Every function takes images, a uint8 tensor of shape (batch, height, width, channels), an argument per image of shape
(batch,), and how to resample, and returns a tensor of the images' shape and dtype. A pixel whose source lies outside
the image gets the fill colour; inside, the pixels beyond the edge count as the pixels at the edge. Values are
truncated, not rounded.

Reference: Pillow's Geometry.c; its bicubic kernel is that of Keys with a = -1 (resizing has a = -0.5).
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.partition import Operation, apply_by_choice

Kernel = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]

TRUNCATION_SLACK = 2.0**-12
"""Added before truncation: float32 weights that sum to nearly 1 must not turn a flat 200 into 199."""


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


def shear_x(images: tf.Tensor, slopes: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Takes the pixel at x, y from x + slope * y, y; the top left corner stays."""
    centres = tf.range(images.shape[1], dtype=tf.float64) + 0.5
    return slide_rows(images, tf.cast(slopes, tf.float64)[:, None] * centres, resampling)


def shear_y(images: tf.Tensor, slopes: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Takes the pixel at x, y from x, y + slope * x; the top left corner stays."""
    return _transpose(shear_x(_transpose(images), slopes, resampling))


def translate_x(images: tf.Tensor, fractions: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Takes the pixel at x, y from x + fraction * width, y."""
    offsets = tf.cast(fractions, tf.float64)[:, None] * images.shape[2]
    return slide_rows(images, tf.repeat(offsets, images.shape[1], axis=1), resampling)


def translate_y(images: tf.Tensor, fractions: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Takes the pixel at x, y from x, y + fraction * height."""
    return _transpose(translate_x(_transpose(images), fractions, resampling))


def _transpose(images: tf.Tensor) -> tf.Tensor:
    return tf.transpose(images, (0, 2, 1, 3))  # (batch, height, width, channels) -> (batch, width, height, channels)


def slide_rows(images: tf.Tensor, offsets: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Takes every pixel from further right in its row.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        offsets: Float64 tensor of shape (batch, height), pixels; negative is to the left.
        resampling: How to fill the images.

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    height, width, channels = images.shape[1:]
    whole = tf.floor(offsets)
    fractions = offsets - whole
    first = tf.cast(whole, tf.int32)[..., None]  # (batch, height, 1)
    columns = tf.clip_by_value(first + tf.range(-1, width + 2), 0, width - 1)  # (batch, height, width + 3)
    taps = tf.gather(images, columns, batch_dims=2)  # (batch, height, width + 3, channels)
    taps = tf.cast(tf.reshape(taps, (-1, height, (width + 3) * channels)), tf.float32)
    weights = _four_weights(tf.cast(fractions, tf.float32), resampling.is_bicubic[:, None])  # 4 x (batch, height)
    span = width * channels
    moved = sum(
        weight[..., None] * taps[..., tap * channels : tap * channels + span] for tap, weight in enumerate(weights)
    )
    # The source of a value, in values: an unsigned comparison finds those left of the image beyond those right of it.
    nearest = (first + tf.cast(fractions >= 0.5, tf.int32)[..., None]) * channels + tf.range(span)
    is_inside = tf.bitcast(nearest, tf.uint32) < span  # (batch, height, width * channels)
    filled = _fill(moved, is_inside, tf.tile(tf.constant(resampling.fill_color, tf.uint8), [width]))
    return tf.reshape(filled, (-1, height, width, channels))


def _four_weights(fractions: tf.Tensor, is_bicubic: tf.Tensor) -> list[tf.Tensor]:
    outer = tf.zeros_like(fractions)
    linear = (outer, *linear_weights(fractions), outer)
    return [tf.where(is_bicubic, *pair) for pair in zip(cubic_weights(fractions), linear, strict=True)]


def rotate(images: tf.Tensor, degrees: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Turns images counter-clockwise about their centre; they keep their size."""

    def bind(kernel: Kernel) -> Operation:
        return lambda chosen, rows: _rotate(chosen, tf.gather(degrees, rows), kernel, resampling.fill_color)

    # Bilinear images have a quarter of the work of bicubic ones.
    choices = tf.cast(resampling.is_bicubic, tf.int32)
    return apply_by_choice(images, choices, [bind(linear_weights), bind(cubic_weights)])


def _rotate(images: tf.Tensor, degrees: tf.Tensor, kernel: Kernel, fill_color: tuple[int, ...]) -> tf.Tensor:
    height, width, channels = images.shape[1:]
    x, y = _rotated_positions(degrees, height, width)  # (batch, height, width) each
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = tf.floor(x - 0.5), tf.floor(y - 0.5)
    column_weights = kernel(tf.reshape(x - 0.5 - left, (-1, 1, height * width)))  # taps x (batch, 1, pixels)
    row_weights = kernel(tf.reshape(y - 0.5 - top, (-1, 1, height * width)))
    num_taps = len(row_weights)

    crossings = tf.clip_by_value(tf.cast(top, tf.int32) + 1, 0, height) * (width + 1)
    crossings += tf.clip_by_value(tf.cast(left, tf.int32) + 1, 0, width)  # (batch, height, width)
    taps = tf.gather(
        _neighbourhoods(images, num_taps), tf.reshape(crossings, (-1, height * width)), batch_dims=1
    )  # (batch, pixels, taps * taps * channels)
    # Pixels come last, so that a weight multiplies long runs of values.
    taps = tf.transpose(tf.cast(taps, tf.float32), (0, 2, 1))
    taps = _weighted_sum(row_weights, taps)  # (batch, taps * channels, pixels)
    pixels = _weighted_sum(column_weights, taps)  # (batch, channels, pixels)
    is_inside = tf.reshape(is_inside, (-1, 1, height * width))
    filled = _fill(pixels, is_inside, tf.constant(fill_color, tf.uint8)[:, None])
    return tf.reshape(tf.transpose(filled, (0, 2, 1)), (-1, height, width, channels))


def _weighted_sum(weights: tuple[tf.Tensor, ...], taps: tf.Tensor) -> tf.Tensor:
    parts = tf.split(taps, len(weights), axis=1)
    return tf.add_n([weight * part for weight, part in zip(weights, parts, strict=True)])


def _rotated_positions(degrees: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the pixels' centres come from, x and y of shape (batch, height, width)."""
    radians = tf.cast(degrees, tf.float32)[:, None, None] * (math.pi / 180)
    x = tf.range(width, dtype=tf.float32) + (0.5 - width / 2)  # (width,)
    y = tf.range(height, dtype=tf.float32)[:, None] + (0.5 - height / 2)  # (height, 1)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    return cosine * x - sine * y + width / 2, sine * x + cosine * y + height / 2


def _neighbourhoods(images: tf.Tensor, num_taps: int) -> tf.Tensor:
    """Returns the pixels around every crossing of four pixels, so that one look-up fetches all that a pixel needs.

    Args:
        images: uint8 tensor of shape (batch, height, width, channels).
        num_taps: Rows and columns around a crossing; even.

    Returns:
        uint8 tensor of shape (batch, (height + 1) * (width + 1), num_taps * num_taps * channels).
    """
    height, width, channels = images.shape[1:]
    margin = num_taps // 2
    padded = tf.gather(images, tf.clip_by_value(tf.range(-margin, height + margin), 0, height - 1), axis=1)
    padded = tf.gather(padded, tf.clip_by_value(tf.range(-margin, width + margin), 0, width - 1), axis=2)
    shifts = [(row, column) for row in range(num_taps) for column in range(num_taps)]
    stacked = tf.concat(
        [padded[:, row : row + height + 1, column : column + width + 1] for row, column in shifts], axis=-1
    )  # (batch, height + 1, width + 1, num_taps * num_taps * channels)
    return tf.reshape(stacked, (-1, (height + 1) * (width + 1), num_taps * num_taps * channels))


def linear_weights(fractions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weights of the two pixels around a position, given how far it lies from the first to the second."""
    return 1 - fractions, fractions


def cubic_weights(fractions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the weights of the four pixels around a position, given how far it lies from the second to the third."""
    square = fractions * fractions
    cube = square * fractions
    return 2 * square - cube - fractions, 1 - 2 * square + cube, fractions + square - cube, cube - square


def _fill(values: tf.Tensor, is_inside: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Truncates values to uint8, and puts the fill where they are outside; the shapes broadcast to that of `values`."""
    truncated = tf.cast(tf.clip_by_value(values + TRUNCATION_SLACK, 0, 255), tf.uint8)
    masks = 255 * tf.cast(is_inside, tf.uint8)
    # Bits are several times faster than a choice per value.
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(truncated, fill), masks), fill)
