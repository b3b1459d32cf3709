"""Boxes of random area and aspect inside images."""

import math

import tensorflow as tf

from keras_cct.data.draws import to_integer

ATTEMPTS = 10
BOX_DRAWS = 2 * ATTEMPTS + 2
"""Random numbers per box: area and aspect of every attempt, then two offsets."""


def box_sides(areas: tf.Tensor, aspects: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sides of boxes of given area, in whole pixels, rounded half to even.

    Args:
        areas: Float64 tensor, pixels.
        aspects: Float64 tensor of the same shape, first side over second.

    Returns:
        Two int32 tensors of that shape.
    """
    first, second = tf.sqrt(areas * aspects), tf.sqrt(areas / aspects)
    return tf.cast(tf.round(first), tf.int32), tf.cast(tf.round(second), tf.int32)


def draw_sides(
    draws: tf.Tensor, areas: tf.Tensor, area_range: tuple[float, float], aspect_range: tuple[float, float]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the sides of the attempts at a box: uniform share of the area, log-uniform aspect.

    Args:
        draws: Float32 tensor of shape (batch, 22), uniform in 0..1; the first 20 are used.
        areas: Tensor of shape (batch,), pixels that are shared out.
        area_range: Least and largest share of the area.
        aspect_range: Least and largest aspect, first side over second.

    Returns:
        Two int32 tensors of shape (batch, 10).
    """
    draws = tf.cast(draws[:, : 2 * ATTEMPTS], tf.float64)
    shares = area_range[0] + draws[:, :ATTEMPTS] * (area_range[1] - area_range[0])
    low, high = (math.log(aspect) for aspect in aspect_range)
    aspects = tf.exp(low + draws[:, ATTEMPTS:] * (high - low))
    return box_sides(tf.cast(areas, tf.float64)[:, None] * shares, aspects)


def first_fitting(heights: tf.Tensor, widths: tf.Tensor, fits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Picks every image's first attempt that fits.

    Args:
        heights: int32 tensor of shape (batch, attempts).
        widths: int32 tensor of shape (batch, attempts).
        fits: Boolean tensor of shape (batch, attempts).

    Returns:
        Heights and widths of the attempts picked, and whether there is one, tensors of shape (batch,).
    """
    first = tf.argmax(fits, axis=1)
    return (
        tf.gather(heights, first, batch_dims=1),
        tf.gather(widths, first, batch_dims=1),
        tf.reduce_any(fits, axis=1),
    )


def place(draws: tf.Tensor, sizes: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Returns random offsets, int32, that keep boxes of the given sides inside images of the given sizes."""
    return to_integer(draws, sizes - sides + 1)


def box_masks(boxes: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns which pixels lie in a box.

    Args:
        boxes: int32 tensor of shape (batch, 4): top, left, height, width.
        height: Rows of the masks.
        width: Columns of the masks.

    Returns:
        uint8 tensor of shape (batch, height, width): 255 inside, 0 outside.
    """
    top, left, box_heights, box_widths = (side[:, None] for side in tf.unstack(boxes, axis=1))
    rows, columns = tf.range(height), tf.range(width)
    in_rows = (rows >= top) & (rows < top + box_heights)  # (batch, height)
    in_columns = (columns >= left) & (columns < left + box_widths)  # (batch, width)
    masks = [255 * tf.cast(is_inside, tf.uint8) for is_inside in (in_rows, in_columns)]
    return tf.bitwise.bitwise_and(masks[0][:, :, None], masks[1][:, None, :])
