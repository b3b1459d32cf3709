"""RandomResizedCrop: a random box of every image, resized with the same results as Pillow.

Reference: torchvision's RandomResizedCrop; Pillow's Resample.c.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from keras_cct.data.augment.batches import static_shape
from keras_cct.data.rng import to_integer

ATTEMPTS = 10
BOX_DRAWS = 2 * ATTEMPTS + 2
"""Uniform random numbers per box: area and aspect ratio of every attempt, then two offsets."""


def box_sides(areas: tf.Tensor, aspects: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sides of boxes with a given area and aspect ratio, in whole pixels, rounded half to even.

    Args:
        areas: Float64 tensor, in pixels.
        aspects: Float64 tensor of the same shape, first side / second side.

    Returns:
        Two int32 tensors of that shape.
    """
    first, second = tf.sqrt(areas * aspects), tf.sqrt(areas / aspects)
    return tf.cast(tf.round(first), tf.int32), tf.cast(tf.round(second), tf.int32)


def draw_sides(
    draws: tf.Tensor, areas: tf.Tensor, area_range: Sequence[float], aspect_range: Sequence[float]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the sides of ten attempts at a box: uniform fraction of the area, log-uniform aspect ratio.

    Args:
        draws: Float32 tensor of shape (batch, 22), uniform in [0, 1); the first 20 columns are used.
        areas: Tensor of shape (batch,), in pixels. The area of a box is a fraction of it.
        area_range: Smallest and largest fraction of the area.
        aspect_range: Smallest and largest aspect ratio, first side / second side.

    Returns:
        Two int32 tensors of shape (batch, 10).
    """
    draws = tf.cast(draws[:, : 2 * ATTEMPTS], tf.float64)
    fractions = area_range[0] + draws[:, :ATTEMPTS] * (area_range[1] - area_range[0])
    low, high = (math.log(aspect) for aspect in aspect_range)
    aspects = tf.exp(low + draws[:, ATTEMPTS:] * (high - low))
    return box_sides(tf.cast(areas, tf.float64)[:, None] * fractions, aspects)


def first_valid(heights: tf.Tensor, widths: tf.Tensor, is_valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Selects the first valid attempt of every image.

    Args:
        heights: int32 tensor of shape (batch, attempts).
        widths: int32 tensor of shape (batch, attempts).
        is_valid: Boolean tensor of shape (batch, attempts).

    Returns:
        Heights, widths and whether any attempt is valid, tensors of shape (batch,).
    """
    first = tf.argmax(is_valid, axis=1)
    return (
        tf.gather(heights, first, batch_dims=1),
        tf.gather(widths, first, batch_dims=1),
        tf.reduce_any(is_valid, axis=1),
    )


def random_offsets(draws: tf.Tensor, image_sides: tf.Tensor | int, sides: tf.Tensor) -> tf.Tensor:
    """Returns random int32 offsets along one axis that keep boxes with these sides inside the images."""
    return to_integer(draws, image_sides - sides + 1)


def box_masks(boxes: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns masks of the pixels inside boxes.

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


BLOCK_SIZE = 16
"""Output lines per block. Larger blocks multiply more zero weights, smaller ones copy more source lines twice."""

SMALL_SIZE = 32
"""Largest output size that is resized in a single block, which needs no copies of the source."""


def crop_boxes(
    draws: tf.Tensor, heights: tf.Tensor, widths: tf.Tensor, scale: Sequence[float], ratio: Sequence[float]
) -> tf.Tensor:
    """Draws the crop box of every image.

    The first of ten attempts that fits into the image is used; if none fits, the largest central box within `ratio`.

    Args:
        draws: Float32 tensor of shape (batch, 22), uniform in [0, 1).
        heights: int32 tensor of shape (batch,), heights of the images in pixels.
        widths: int32 tensor of shape (batch,), widths of the images in pixels.
        scale: Smallest and largest fraction of the image area.
        ratio: Smallest and largest width / height.

    Returns:
        int32 tensor of shape (batch, 4): top, left, height, width.
    """
    crop_widths, crop_heights = draw_sides(draws, heights * widths, scale, ratio)
    is_valid = (crop_heights <= heights[:, None]) & (crop_widths <= widths[:, None])
    crop_heights, crop_widths, has_valid = first_valid(crop_heights, crop_widths, is_valid)
    top = random_offsets(draws[:, -2], heights, crop_heights)
    left = random_offsets(draws[:, -1], widths, crop_widths)
    boxes = tf.stack([top, left, crop_heights, crop_widths], axis=1)
    return tf.where(has_valid[:, None], boxes, central_boxes(heights, widths, ratio))


def central_boxes(heights: tf.Tensor, widths: tf.Tensor, ratio: Sequence[float]) -> tf.Tensor:
    """Returns the largest central boxes with width / height within `ratio`, in the format of `crop_boxes`."""
    rows, columns = tf.cast(heights, tf.float64), tf.cast(widths, tf.float64)
    is_narrow, is_wide = columns / rows < min(ratio), columns / rows > max(ratio)
    crop_heights = tf.where(is_narrow, tf.cast(tf.round(columns / min(ratio)), tf.int32), heights)
    crop_widths = tf.where(is_wide, tf.cast(tf.round(rows * max(ratio)), tf.int32), widths)
    offsets = (heights - crop_heights) // 2, (widths - crop_widths) // 2
    return tf.stack([*offsets, crop_heights, crop_widths], axis=1)


def resize_boxes(
    images: tf.Tensor, boxes: tf.Tensor, size: tuple[int, int], is_bicubic: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Crops a box out of every image, resizes it with antialiasing, and flips it.

    Resampling is linear in the pixels, so one matrix per axis applies the crop, the resize and the flip.

    Args:
        images: uint8 tensor of shape (batch, rows, columns, channels).
        boxes: int32 tensor of shape (batch, 4): top, left, height, width; inside the images.
        size: Height and width of the result.
        is_bicubic: Boolean tensor of shape (batch,): bicubic, otherwise bilinear.
        flips: Boolean tensor of shape (batch, 2): whether to flip horizontally and whether to flip vertically.

    Returns:
        uint8 tensor of shape (batch, *size, channels).
    """
    rows, columns = tf.unstack(tf.shape(images)[1:3])
    height, width = size
    channels = static_shape(images)[-1]
    top, left, crop_heights, crop_widths = tf.unstack(boxes, axis=1)
    # TensorFlow transposes float32 faster than uint8.
    pixels = tf.transpose(tf.cast(images, tf.float32), (0, 2, 1, 3))  # (batch, columns, rows, channels)
    pixels = tf.reshape(pixels, (-1, columns, rows * channels))
    pixels = tf.floor(_resize_lines(pixels, left, crop_widths, width, is_bicubic, flips[:, 0]))
    pixels = tf.transpose(tf.reshape(pixels, (-1, width, rows, channels)), (0, 2, 1, 3))
    pixels = tf.reshape(pixels, (-1, rows, width * channels))  # (batch, rows, width, channels) -> (..., values)
    pixels = _resize_lines(pixels, top, crop_heights, height, is_bicubic, flips[:, 1])
    return tf.cast(tf.reshape(pixels, (-1, height, width, channels)), tf.uint8)


def _resize_lines(
    lines: tf.Tensor, starts: tf.Tensor, lengths: tf.Tensor, size: int, is_bicubic: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Resizes along one axis. The caller truncates the result to integers.

    The result is computed in blocks of adjacent lines, each from the band of source lines that it depends on.

    Args:
        lines: Float32 tensor of shape (batch, side, values).
        starts: int32 tensor of shape (batch,), first source line.
        lengths: int32 tensor of shape (batch,), number of source lines.
        size: Lines of the result.
        is_bicubic: Boolean tensor of shape (batch,): bicubic, otherwise bilinear.
        flips: Boolean tensor of shape (batch,): whether to reverse the lines of the result.

    Returns:
        Float32 tensor of shape (batch, size, values): the values plus 0.5, clipped to [0, 255].
    """
    side, num_values = tf.unstack(tf.shape(lines)[1:])
    block_size = size if size <= SMALL_SIZE else BLOCK_SIZE
    num_blocks = -(-size // block_size)
    positions = tf.minimum(tf.range(num_blocks * block_size, dtype=tf.float32), size - 1) + 0.5
    positions = tf.where(flips[:, None], size - positions, positions)  # (batch, blocks * block_size)
    step = tf.cast(lengths, tf.float32)[:, None] / size  # (batch, 1)
    centers = tf.reshape(positions * step, (-1, num_blocks, block_size))  # from the start of the crop
    first, band_size = _bands(centers, block_size, starts, side, size)
    weights = resampling_weights(centers, first, band_size, lengths, tf.maximum(step, 1.0), is_bicubic)
    if num_blocks > 1:
        band = tf.expand_dims(starts[:, None] + first, -1) + tf.range(band_size)  # (batch, blocks, band)
        bands = tf.gather(lines, band, batch_dims=1)  # (batch, blocks, band, values)
    else:
        bands = lines[:, None]
    resized = tf.reshape(weights @ bands, (-1, num_blocks * block_size, num_values))
    return tf.clip_by_value(resized[:, :size] + 0.5, 0, 255)


def _bands(
    centers: tf.Tensor, block_size: int, starts: tf.Tensor, side: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first source line of every block, counted from the start of the crop, and the number of lines."""
    largest_step = tf.maximum(tf.cast(side, tf.float32) / size, 1.0)
    reach = tf.cast(tf.math.ceil(2 * largest_step), tf.int32)
    needed = tf.cast(tf.math.ceil(block_size * largest_step), tf.int32) + 2 * reach + 1
    # Rounded up, so that only a few different sizes occur: the first matrix product of a new shape is slow.
    band_size = tf.minimum(-(-needed // 8) * 8, side) if size > block_size else side
    first = tf.cast(tf.floor(tf.reduce_min(centers, axis=-1)), tf.int32) - reach  # (batch, blocks)
    return tf.clip_by_value(first, -starts[:, None], side - band_size - starts[:, None]), band_size


def resampling_weights(
    centers: tf.Tensor,
    first: tf.Tensor,
    band_size: tf.Tensor,
    lengths: tf.Tensor,
    stretch: tf.Tensor,
    is_bicubic: tf.Tensor,
) -> tf.Tensor:
    """Returns the weight of every source line in every output line.

    Args:
        centers: Float32 tensor of shape (batch, blocks, lines), positions of the output lines in the crop.
        first: int32 tensor of shape (batch, blocks), first source line of each block.
        band_size: Source lines per block.
        lengths: int32 tensor of shape (batch,), source lines of the crop.
        stretch: Float32 tensor of shape (batch, 1), factor on the width of the kernel, at least 1.
        is_bicubic: Boolean tensor of shape (batch,): bicubic, otherwise bilinear.

    Returns:
        Float32 tensor of shape (batch, blocks, lines, band_size); every row sums to 1.
    """
    offsets = tf.range(band_size)
    sources = first[:, :, None] + offsets  # (batch, blocks, band)
    is_inside = (sources >= 0) & (sources < lengths[:, None, None])
    to_first = tf.cast(first, tf.float32)[:, :, None] + 0.5 - centers  # (batch, blocks, lines)
    distances = tf.abs(to_first[:, :, :, None] + tf.cast(offsets, tf.float32)) / stretch[:, :, None, None]
    weights = tf.where(is_bicubic[:, None, None, None], _cubic(distances), tf.nn.relu(1 - distances))
    weights *= tf.cast(is_inside, tf.float32)[:, :, None]
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def _cubic(distances: tf.Tensor) -> tf.Tensor:
    """Returns the Keys kernel with a = -0.5; `relu` makes the two polynomial pieces zero outside their range."""
    outer, inner = tf.nn.relu(2 - distances), tf.nn.relu(1 - distances)
    return 0.5 * outer * outer * (outer - 1) + inner * inner * (1 - 2 * inner)
