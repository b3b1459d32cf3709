"""Rotations, shears and translations of images, computed as Pillow computes them.

Every function takes images, a uint8 tensor of shape (batch, height, width, channels), an argument per image of shape
(batch,), and how to resample, and returns a tensor of the images' shape and dtype. A pixel whose source lies outside
the image gets the fill colour; inside, the pixels beyond the edge count as the pixels at the edge. Values are
truncated, not rounded.

Reference: Pillow's Geometry.c; its bicubic kernel is that of Keys with a = -1 (resizing has a = -0.5).
"""

import dataclasses
import math

import tensorflow as tf

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
    weights = kernel_weights(tf.cast(fractions, tf.float32), resampling.is_bicubic[:, None])  # 4 x (batch, height)
    span = width * channels
    moved = sum(
        weight[..., None] * taps[..., tap * channels : tap * channels + span] for tap, weight in enumerate(weights)
    )
    nearest = first + tf.cast(fractions >= 0.5, tf.int32)[..., None] + tf.range(width)  # (batch, height, width)
    is_inside = (nearest >= 0) & (nearest < width)
    return _fill(tf.reshape(moved, (-1, height, width, channels)), is_inside, resampling.fill_color)


def rotate(images: tf.Tensor, degrees: tf.Tensor, resampling: Resampling) -> tf.Tensor:
    """Turns images counter-clockwise about their centre; they keep their size."""
    height, width, channels = images.shape[1:]
    x, y = _rotated_positions(degrees, height, width)  # (batch, height, width) each
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = tf.floor(x - 0.5), tf.floor(y - 0.5)
    is_bicubic = resampling.is_bicubic[:, None, None]
    column_weights = tf.stack(kernel_weights(x - 0.5 - left, is_bicubic), axis=-1)  # (batch, height, width, 4)
    row_weights = tf.stack(kernel_weights(y - 0.5 - top, is_bicubic), axis=-1)

    neighbourhoods = _neighbourhoods(images)  # (batch, (height + 1) * (width + 1), 16 * channels)
    row = tf.clip_by_value(tf.cast(top, tf.int32) + 1, 0, height)
    column = tf.clip_by_value(tf.cast(left, tf.int32) + 1, 0, width)
    taps = tf.gather(neighbourhoods, row * (width + 1) + column, batch_dims=1)
    taps = tf.reshape(tf.cast(taps, tf.float32), (-1, height, width, 4, 4 * channels))
    taps = row_weights[..., None, :] @ taps  # (batch, height, width, 1, 4 * channels)
    taps = tf.reshape(taps, (-1, height, width, 4, channels))
    rotated = column_weights[..., None, :] @ taps  # (batch, height, width, 1, channels)
    return _fill(rotated[..., 0, :], is_inside, resampling.fill_color)


def _rotated_positions(degrees: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the pixels' centres come from, x and y of shape (batch, height, width)."""
    radians = tf.cast(degrees, tf.float32)[:, None, None] * (math.pi / 180)
    x = tf.range(width, dtype=tf.float32) + (0.5 - width / 2)  # (width,)
    y = tf.range(height, dtype=tf.float32)[:, None] + (0.5 - height / 2)  # (height, 1)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    return cosine * x - sine * y + width / 2, sine * x + cosine * y + height / 2


def _neighbourhoods(images: tf.Tensor) -> tf.Tensor:
    """Returns 4 x 4 pixels around every crossing of four pixels, so that one look-up fetches all a pixel needs."""
    height, width, channels = images.shape[1:]
    padded = tf.gather(images, tf.clip_by_value(tf.range(-2, height + 2), 0, height - 1), axis=1)
    padded = tf.gather(padded, tf.clip_by_value(tf.range(-2, width + 2), 0, width - 1), axis=2)
    shifts = [(row, column) for row in range(4) for column in range(4)]
    stacked = tf.concat(
        [padded[:, row : row + height + 1, column : column + width + 1] for row, column in shifts], axis=-1
    )  # (batch, height + 1, width + 1, 16 * channels)
    return tf.reshape(stacked, (-1, (height + 1) * (width + 1), 16 * channels))


def kernel_weights(fractions: tf.Tensor, is_bicubic: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns the weights of the four pixels around a position.

    Args:
        fractions: Float32 tensor, how far the position lies from the second pixel towards the third, 0 to below 1.
        is_bicubic: Boolean tensor of a shape that broadcasts.

    Returns:
        Four tensors of the shape of `fractions`.
    """
    t, t2 = fractions, fractions * fractions
    t3 = t2 * t
    cubic = (2 * t2 - t3 - t, 1 - 2 * t2 + t3, t + t2 - t3, t3 - t2)
    linear = (tf.zeros_like(t), 1 - t, t, tf.zeros_like(t))
    return tuple(tf.where(is_bicubic, *weights) for weights in zip(cubic, linear, strict=True))


def _fill(pixels: tf.Tensor, is_inside: tf.Tensor, fill_color: tuple[int, ...]) -> tf.Tensor:
    truncated = tf.cast(tf.clip_by_value(pixels + TRUNCATION_SLACK, 0, 255), tf.uint8)
    return tf.where(is_inside[..., None], truncated, tf.constant(fill_color, tf.uint8))
