"""RandomResizedCrop: a random part of every image, resized as Pillow resizes.

Reference: torchvision's RandomResizedCrop; Pillow's Resample.c.
"""

import tensorflow as tf

from keras_cct.data.boxes import draw_sides, first_fitting, place


def crop_boxes(
    draws: tf.Tensor, heights: tf.Tensor, widths: tf.Tensor, scale: tuple[float, float], ratio: tuple[float, float]
) -> tf.Tensor:
    """Draws the part of every image to keep.

    Of ten attempts the first that fits the image counts; if none does, the largest central part within `ratio`.

    Args:
        draws: Float32 tensor of shape (batch, 22), uniform in 0..1.
        heights: int32 tensor of shape (batch,), pixels.
        widths: int32 tensor of shape (batch,), pixels.
        scale: Least and largest share of the area.
        ratio: Least and largest width over height.

    Returns:
        int32 tensor of shape (batch, 4): top, left, height, width.
    """
    crop_widths, crop_heights = draw_sides(draws, heights * widths, scale, ratio)
    fits = (crop_heights <= heights[:, None]) & (crop_widths <= widths[:, None])
    crop_heights, crop_widths, has_fit = first_fitting(crop_heights, crop_widths, fits)
    top, left = place(draws[:, -2], heights, crop_heights), place(draws[:, -1], widths, crop_widths)
    boxes = tf.stack([top, left, crop_heights, crop_widths], axis=1)
    return tf.where(has_fit[:, None], boxes, central_boxes(heights, widths, ratio))


def central_boxes(heights: tf.Tensor, widths: tf.Tensor, ratio: tuple[float, float]) -> tf.Tensor:
    """Returns the largest central box of an aspect within `ratio`, int32 of shape (batch, 4) as `crop_boxes`."""
    rows, columns = tf.cast(heights, tf.float64), tf.cast(widths, tf.float64)
    is_narrow, is_wide = columns / rows < min(ratio), columns / rows > max(ratio)
    crop_heights = tf.where(is_narrow, tf.cast(tf.round(columns / min(ratio)), tf.int32), heights)
    crop_widths = tf.where(is_wide, tf.cast(tf.round(rows * max(ratio)), tf.int32), widths)
    offsets = (heights - crop_heights) // 2, (widths - crop_widths) // 2
    return tf.stack([*offsets, crop_heights, crop_widths], axis=1)


def resize_boxes(
    images: tf.Tensor, boxes: tf.Tensor, size: tuple[int, int], is_bicubic: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Cuts a box out of every image, resizes it with antialiasing, and mirrors it.

    Resampling is linear in the pixels: two matrices per image hold the crop, the resize and the mirroring.

    Args:
        images: uint8 tensor of shape (batch, rows, columns, channels).
        boxes: int32 tensor of shape (batch, 4): top, left, height, width; inside the images.
        size: Height and width of the result.
        is_bicubic: Boolean tensor of shape (batch,): bicubic or else bilinear.
        flips: Boolean tensor of shape (batch, 2): whether to mirror left to right, and top to bottom.

    Returns:
        uint8 tensor of shape (batch, *size, channels).
    """
    rows, columns = tf.unstack(tf.shape(images)[1:3])
    height, width, channels = *size, images.shape[-1]
    top, left, crop_heights, crop_widths = tf.unstack(boxes, axis=1)
    across = resampling_matrix(left, crop_widths, columns, width, is_bicubic, flips[:, 0])  # (batch, width, columns)
    down = resampling_matrix(top, crop_heights, rows, height, is_bicubic, flips[:, 1])  # (batch, height, rows)
    pixels = tf.transpose(images, (0, 2, 1, 3))  # (batch, columns, rows, channels)
    pixels = tf.cast(tf.reshape(pixels, (-1, columns, rows * channels)), tf.float32)
    pixels = tf.reshape(_round_pixels(across @ pixels), (-1, width, rows, channels))
    pixels = tf.transpose(pixels, (0, 2, 1, 3))  # (batch, rows, width, channels)
    pixels = down @ tf.reshape(pixels, (-1, rows, width * channels))  # (batch, height, width * channels)
    return tf.cast(tf.reshape(_round_pixels(pixels), (-1, height, width, channels)), tf.uint8)


def _round_pixels(pixels: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.floor(pixels + 0.5), 0, 255)


def resampling_matrix(
    starts: tf.Tensor, lengths: tf.Tensor, side: tf.Tensor, size: int, is_bicubic: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Returns the weights of source pixels in resized pixels, along one axis.

    Args:
        starts: int32 tensor of shape (batch,), first source pixel.
        lengths: int32 tensor of shape (batch,), number of source pixels.
        side: Pixels of the whole source.
        size: Pixels of the result.
        is_bicubic: Boolean tensor of shape (batch,).
        flips: Boolean tensor of shape (batch,): whether the result runs backwards.

    Returns:
        Float32 tensor of shape (batch, size, side); every row sums to 1.
    """
    step = tf.cast(lengths, tf.float32)[:, None] / size  # (batch, 1)
    stretch = tf.maximum(step, 1.0)
    positions = tf.range(size, dtype=tf.float32) + 0.5  # (size,)
    positions = tf.where(flips[:, None], size - positions, positions)  # (batch, size)
    centres = positions * step  # (batch, size), from the start of the crop
    radius = tf.where(is_bicubic[:, None], 2.0, 1.0) * stretch
    first = tf.cast(tf.floor(centres - radius + 0.5), tf.int32)
    num_taps = 2 * tf.cast(tf.math.ceil(2 * tf.maximum(side / size, 1.0)), tf.int32) + 1
    pixels = first[..., None] + tf.range(num_taps)  # (batch, size, taps)
    distances = tf.abs(tf.cast(pixels, tf.float32) + 0.5 - centres[..., None]) / stretch[..., None]
    weights = tf.where(is_bicubic[:, None, None], _cubic(distances), tf.nn.relu(1 - distances))
    is_inside = (pixels >= 0) & (pixels < lengths[:, None, None])
    weights = tf.where(is_inside, weights, 0.0)
    weights /= tf.reduce_sum(weights, axis=-1, keepdims=True)
    columns = tf.clip_by_value(starts[:, None, None] + pixels, 0, side - 1)
    result_rows = tf.reshape(tf.range(tf.size(centres)), (-1, size, 1))
    flat = tf.scatter_nd(
        tf.reshape(result_rows * side + columns, (-1, 1)), tf.reshape(weights, (-1,)), [tf.size(centres) * side]
    )
    return tf.reshape(flat, (-1, size, side))  # (batch * size * side,) -> (batch, size, side)


def _cubic(distances: tf.Tensor) -> tf.Tensor:
    """Returns Keys's kernel with a = -0.5: two pieces, written with the parts of 2 - x and 1 - x above zero."""
    outer, inner = tf.nn.relu(2 - distances), tf.nn.relu(1 - distances)
    return 0.5 * outer * outer * (outer - 1) + inner * inner * (1 - 2 * inner)
