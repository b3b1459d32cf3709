"""Decoding and resizing of images with TensorFlow, eagerly and in graphs."""

import dataclasses
import functools
import math
from collections.abc import Callable

import tensorflow as tf

from keras_cct.data.declared_size import GIF_PREFIX, PNG_PREFIX, check_declared_size
from keras_cct.data.exif import exif_orientation, turn_upright
from keras_cct.data.pillow_images import decode_with_pillow

DECODABLE_CHANNELS = (1, 3)
KERNELS = {"bicubic": "keyscubic", "bilinear": "triangle"}


def without_optimizations() -> tf.data.Options:
    """Returns options for datasets that decode images: TensorFlow would optimize their graph for seconds, in vain."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return options


def luma(images: tf.Tensor) -> tf.Tensor:
    """Converts RGB to gray (ITU-R 601 luma, in Pillow's integer arithmetic), uint8 of shape (..., 1).

    Images of one channel are returned unchanged.
    """
    if images.shape[-1] == 1:
        return images
    red, green, blue = tf.unstack(tf.cast(images, tf.int32), axis=-1)
    gray = tf.bitwise.right_shift(19595 * red + 38470 * green + 7471 * blue + 32768, 16)
    return tf.expand_dims(tf.cast(gray, tf.uint8), -1)


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a PNG, a JPEG or the first frame of a GIF, and turns it upright by its EXIF orientation.

    Uses only TensorFlow operations, so that a SavedModel can contain it. Images with 8 bits per channel decode to the
    same pixels as in Pillow; with 16 bits, only the high byte is used. The alpha channel is dropped. Other formats, and
    images that declare more than 178,956,970 pixels (a GIF: in all frames) or a side longer than 65,535, fail before
    they are decoded.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
        channels: 3 for RGB, 1 for gray. Color images are converted to gray by `luma`.

    Returns:
        uint8 tensor of shape (height, width, channels).
    """
    encoded = check_declared_size(encoded)
    rgb = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    rgb = turn_upright(tf.ensure_shape(rgb, (None, None, 3)), exif_orientation(encoded))
    return rgb if channels == 3 else luma(rgb)


def decode_any_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes an image of any format that Pillow reads: PNG, JPEG and GIF by `decode_image`, others with Pillow.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
        channels: 3 for RGB, 1 for gray.

    Returns:
        uint8 tensor of shape (height, width, channels).
    """
    return _any_image_decoder(channels)(encoded)


@functools.cache
def _any_image_decoder(channels: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function whose graph is built once per process, not once per dataset."""

    def decode_others(encoded: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(lambda content: decode_with_pillow(content, channels), [encoded], tf.uint8)
        return tf.ensure_shape(pixels, (None, None, channels))

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        prefix = tf.strings.substr(encoded, 0, tf.minimum(tf.strings.length(encoded), 4))
        is_common = tf.io.is_jpeg(encoded) | (prefix == PNG_PREFIX) | (prefix == GIF_PREFIX)
        return tf.cond(is_common, lambda: decode_image(encoded, channels), lambda: decode_others(encoded))

    return tf.function(decode, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)


@dataclasses.dataclass(frozen=True)
class ResizeAndCrop:
    """Resizes an image of any size so that it covers the output size, then crops the center.

    Args:
        height: Rows of the output.
        width: Columns of the output.
        crop_pct: Size of the crop as a fraction of the resized image's short side, in (0, 1].
        interpolation: "bicubic" or "bilinear", both antialiased.
    """

    height: int
    width: int
    crop_pct: float = 1.0
    interpolation: str = "bicubic"

    @property
    def covered_sides(self) -> tuple[int, int]:
        """Rows and columns that the resized image must cover before the crop."""
        return math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)

    def is_identity(self, image_shape: tf.TensorShape) -> bool:
        """Returns whether images of this shape, (rows, columns, channels), do not change."""
        return tuple(image_shape[:2]) == self.covered_sides == (self.height, self.width)

    def resized_sides(self, rows: tf.Tensor, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the rows and columns of the resized image for an image of `rows` x `columns` pixels."""
        height, width = self.covered_sides
        is_wide = columns * height > rows * width
        new_rows = tf.where(is_wide, height, rows * width // columns)
        return new_rows, tf.where(is_wide, columns * height // rows, width)

    def offsets(self, new_rows: tf.Tensor, new_columns: tf.Tensor) -> tf.Tensor:
        """Returns the first row and column of the crop in the resized image, float32, halves rounded to even."""
        return tf.round(tf.cast([new_rows - self.height, new_columns - self.width], tf.float32) / 2)


def resize_and_crop(images: tf.Tensor, resize: ResizeAndCrop) -> tf.Tensor:
    """Resizes images of one size so that they cover the output size, then crops the center.

    Args:
        images: Tensor of shape (batch, rows, columns, channels), pixels in [0, 255].
        resize: Output size, crop and interpolation.

    Returns:
        Float32 tensor of shape (batch, height, width, channels), integral values in [0, 255].
    """
    rows, columns = tf.unstack(tf.shape(images)[1:3])
    new_rows, new_columns = resize.resized_sides(rows, columns)
    # Resizes and crops in one step, because a very long image, resized as a whole, would not fit into memory.
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(images, tf.float32),
        size=(resize.height, resize.width),
        scale=tf.cast([new_rows / rows, new_columns / columns], tf.float32),
        translation=-resize.offsets(new_rows, new_columns),
        kernel_type=KERNELS[resize.interpolation],
        antialias=True,
    )
    shape = (images.shape[0], resize.height, resize.width, images.shape[-1])
    return tf.ensure_shape(tf.clip_by_value(tf.round(resized), 0, 255), shape)


def decode_batch(encoded: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Decodes, resizes and crops a batch of encoded images.

    Args:
        encoded: String tensor of shape (batch,).
        image_shape: (height, width, channels) of the output.

    Returns:
        Float32 tensor of shape (batch, height, width, channels), pixels in [0, 255].
    """
    height, width, channels = image_shape
    return tf.map_fn(
        lambda item: resize_and_crop(decode_image(item, channels)[tf.newaxis], ResizeAndCrop(height, width))[0],
        encoded,
        fn_output_signature=tf.TensorSpec(image_shape, tf.float32),
    )
