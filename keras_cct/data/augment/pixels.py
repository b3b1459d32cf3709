"""Operations on pixel values, with the same results as Pillow.

Every function takes images, a uint8 tensor of shape (batch, height, width, channels), and most take one argument per
image, a tensor of shape (batch,). All return a tensor of the shape and dtype of the images. Images of one channel are
gray.

Reference: Pillow's ImageOps and ImageEnhance.
"""

import tensorflow as tf

from keras_cct.data.augment.batches import per_image, static_shape
from keras_cct.data.decode import luma


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches every channel so that its darkest pixel becomes 0 and its brightest 255."""
    darkest = tf.cast(tf.reduce_min(images, axis=(1, 2), keepdims=True), tf.float64)
    brightest = tf.cast(tf.reduce_max(images, axis=(1, 2), keepdims=True), tf.float64)
    is_flat = brightest <= darkest
    # Float64, as in Pillow: a rounding error decides whether the brightest pixel becomes 254 or 255.
    scale = tf.where(is_flat, tf.ones_like(darkest), 255.0 / tf.maximum(brightest - darkest, 1.0))
    offset = tf.where(is_flat, tf.zeros_like(darkest), -darkest * scale)
    return tf.cast(tf.cast(images, tf.float64) * scale + offset, tf.uint8)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Equalizes the histogram of every channel."""
    height, width, channels = static_shape(images)[1:]
    by_channel = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, height * width))  # (batch * channels, pixels)
    pixels = tf.cast(by_channel, tf.int32)
    counts = tf.math.bincount(pixels, minlength=256, maxlength=256, axis=-1)  # (batch * channels, 256)
    brightest = tf.reduce_max(pixels, axis=1, keepdims=True)
    step = (height * width - tf.gather(counts, brightest, batch_dims=1)) // 255  # (batch * channels, 1); 0: unchanged
    table = (step // 2 + tf.cumsum(counts, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
    equalized = tf.gather(tf.cast(table, tf.uint8), pixels, batch_dims=1)
    equalized = tf.reshape(equalized, (-1, channels, height, width))  # (batch, channels, height, width)
    return tf.transpose(equalized, (0, 2, 3, 1))


def invert(images: tf.Tensor) -> tf.Tensor:
    """Turns every value x into 255 - x."""
    return 255 - images


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the top bits of every value; 0 bits give black, as in Pillow before release 9."""
    masks = 256 - tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(images, per_image(masks, tf.uint8))


def solarize(images: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Inverts the values at and above a threshold in [0, 256]."""
    thresholds = tf.cast(thresholds, tf.int32)
    # 256 does not fit into uint8, so values are compared with threshold - 1, and threshold 0 is a separate case.
    is_bright = (images > per_image(tf.maximum(thresholds - 1, 0), tf.uint8)) | per_image(thresholds == 0, tf.bool)
    return tf.bitwise.bitwise_xor(images, 255 * tf.cast(is_bright, tf.uint8))


def solarize_add(images: tf.Tensor, additions: tf.Tensor) -> tf.Tensor:
    """Adds a number in [0, 128] to the values below 128."""
    return images + per_image(additions, tf.uint8) * tf.cast(images < 128, tf.uint8)


def color(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with the gray image: factor 0 gives gray, 1 the image, more than 1 stronger colors."""
    return blend(luma(images), images, factors)


def contrast(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with the mean gray of the image: factor 0 gives a flat image, 1 the image, more than 1 more contrast."""
    height, width = static_shape(images)[1:3]
    num_pixels = height * width
    totals = tf.reduce_sum(tf.cast(luma(images), tf.int32), axis=(1, 2), keepdims=True)
    return blend((2 * totals + num_pixels) // (2 * num_pixels), images, factors)


def brightness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with black: factor 0 gives black, 1 the image, more than 1 a brighter image."""
    brightened = per_image(factors, tf.float32) * tf.cast(images, tf.float32)
    return tf.cast(tf.clip_by_value(brightened, 0, 255), tf.uint8)


def sharpness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with a smoothed image: factor 0 gives the smoothed image, 1 the image, more than 1 a sharper image."""
    return blend(smooth(images), images, factors)


def smooth(images: tf.Tensor) -> tf.Tensor:
    """Averages 3 x 3 pixels, the center with weight 5. The pixels at the edges do not change."""
    height, width = static_shape(images)[1:3]
    if min(height, width) < 3:
        return images
    pixels = tf.cast(images, tf.float32)
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * pixels[:, 1:-1, 1:-1]
    middle = tf.cast(total / 13.0 + 0.5, tf.uint8)
    middle = tf.concat([images[:, 1:-1, :1], middle, images[:, 1:-1, -1:]], axis=2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], axis=1)


def blend(degenerate: tf.Tensor, images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Interpolates from the degenerate image (factor 0) to the image (factor 1) and beyond, clipped to [0, 255].

    Args:
        degenerate: Tensor of a shape that broadcasts with `images`.
        images: uint8 tensor of shape (batch, height, width, channels).
        factors: Float tensor of shape (batch,).

    Returns:
        Tensor of the shape and dtype of `images`.
    """
    start = tf.cast(degenerate, tf.float32)
    blended = start + per_image(factors, tf.float32) * (tf.cast(images, tf.float32) - start)
    return tf.cast(tf.clip_by_value(blended, 0, 255), tf.uint8)
