"""RandomResizedCrop: a random part of every image, resized as Pillow resizes.

Reference: torchvision's RandomResizedCrop; Pillow's Resample.c.
"""

import math

import tensorflow as tf

from keras_cct.data.rng import to_integer

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


BLOCK_SIZE = 16
"""Resized lines per block: larger blocks have more weights of zero, smaller ones more lines of the source twice."""

SMALL_SIZE = 32
"""Largest size to resize in one block, which needs no copies of the source."""


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

    Resampling is linear in the pixels: matrices hold the crop, the resize and the mirroring.

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
    # Floats are transposed faster than bytes.
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
    """Resizes along one axis, up to the cut that makes integers of the results.

    The result is computed in blocks of neighboring lines, each from the short band of the source that it depends on.

    Args:
        lines: Float32 tensor of shape (batch, side, values).
        starts: int32 tensor of shape (batch,), first source line.
        lengths: int32 tensor of shape (batch,), number of source lines.
        size: Lines of the result.
        is_bicubic: Boolean tensor of shape (batch,).
        flips: Boolean tensor of shape (batch,): whether the result runs backwards.

    Returns:
        Float32 tensor of shape (batch, size, values), 0.5 above the values and clipped to 0..255.
    """
    side, num_values = tf.unstack(tf.shape(lines)[1:])
    block_size = size if size <= SMALL_SIZE else BLOCK_SIZE
    num_blocks = -(-size // block_size)
    positions = tf.minimum(tf.range(num_blocks * block_size, dtype=tf.float32), size - 1) + 0.5
    positions = tf.where(flips[:, None], size - positions, positions)  # (batch, blocks * block_size)
    step = tf.cast(lengths, tf.float32)[:, None] / size  # (batch, 1)
    centers = tf.reshape(positions * step, (-1, num_blocks, block_size))  # from the start of the crop
    first, band_size = _bands(centers, starts, side, size)
    weights = resampling_weights(centers, first, band_size, lengths, tf.maximum(step, 1.0), is_bicubic)
    if num_blocks > 1:
        band = (starts[:, None] + first)[..., None] + tf.range(band_size)  # (batch, blocks, band)
        bands = tf.gather(lines, band, batch_dims=1)  # (batch, blocks, band, values)
    else:
        bands = lines[:, None]
    resized = tf.reshape(weights @ bands, (-1, num_blocks * block_size, num_values))
    return tf.clip_by_value(resized[:, :size] + 0.5, 0, 255)


def _bands(centers: tf.Tensor, starts: tf.Tensor, side: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first source line of every block, from the start of the crop, and how many lines follow from it."""
    num_blocks, block_size = centers.shape[1:]
    largest_step = tf.maximum(tf.cast(side, tf.float32) / size, 1.0)
    reach = tf.cast(tf.math.ceil(2 * largest_step), tf.int32)
    needed = tf.cast(tf.math.ceil(block_size * largest_step), tf.int32) + 2 * reach + 1
    # Few different sizes, as matrix products of a new shape are slow the first time.
    band_size = tf.minimum(-(-needed // 8) * 8, side) if num_blocks > 1 else side
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
    """Returns the weights of source lines in resized lines.

    Args:
        centers: Float32 tensor of shape (batch, blocks, lines), positions in the crop.
        first: int32 tensor of shape (batch, blocks), the source line of each block's first weight.
        band_size: Weights per line.
        lengths: int32 tensor of shape (batch,), source lines of the crop.
        stretch: Float32 tensor of shape (batch, 1), widths of the kernels, at least 1.
        is_bicubic: Boolean tensor of shape (batch,).

    Returns:
        Float32 tensor of shape (batch, blocks, lines, band_size); every row sums to 1.
    """
    offsets = tf.range(band_size)
    sources = first[..., None] + offsets  # (batch, blocks, band)
    is_inside = (sources >= 0) & (sources < lengths[:, None, None])
    to_first = tf.cast(first, tf.float32)[..., None] + 0.5 - centers  # (batch, blocks, lines)
    distances = tf.abs(to_first[..., None] + tf.cast(offsets, tf.float32)) / stretch[..., None, None]
    weights = tf.where(is_bicubic[:, None, None, None], _cubic(distances), tf.nn.relu(1 - distances))
    weights *= tf.cast(is_inside, tf.float32)[:, :, None]
    return weights / tf.reduce_sum(weights, axis=-1, keepdims=True)


def _cubic(distances: tf.Tensor) -> tf.Tensor:
    """Returns Keys's kernel with a = -0.5: two pieces, written with the parts of 2 - x and 1 - x above zero."""
    outer, inner = tf.nn.relu(2 - distances), tf.nn.relu(1 - distances)
    return 0.5 * outer * outer * (outer - 1) + inner * inner * (1 - 2 * inner)
