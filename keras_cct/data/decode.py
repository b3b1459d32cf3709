"""From an encoded image of any size to the pixels a model takes, inside TensorFlow graphs and out."""

import dataclasses
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.errors import InputError

DECODABLE_CHANNELS = (1, 3)
KERNELS = {"bicubic": "keyscubic", "bilinear": "triangle"}
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")
"""First bytes of the files that can be read: PNG, JPEG, GIF."""


def luma(images: tf.Tensor) -> tf.Tensor:
    """Returns the gray of ITU-R 601 in Pillow's integers, uint8 of shape (..., 1); gray images stay as they are."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = tf.unstack(tf.cast(images, tf.int32), axis=-1)
    gray = tf.bitwise.right_shift(19595 * red + 38470 * green + 7471 * blue + 32768, 16)
    return tf.cast(gray, tf.uint8)[..., None]


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes one PNG, JPEG or GIF (its first frame); those of 8 bits as Pillow does.

    Transparency is dropped, and the orientation that a camera notes is not applied.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
        channels: 3 for RGB, 1 for gray; color becomes gray as luma of ITU-R 601 in Pillow's integers.

    Returns:
        uint8 tensor of shape (height, width, channels).
    """
    rgb = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return rgb if channels == 3 else luma(rgb)


@dataclasses.dataclass(frozen=True)
class ResizeAndCrop:
    """How an image of any size becomes one of the size that a model takes.

    Args:
        height: Rows of the result.
        width: Columns of the result.
        crop_pct: Share of the resized image's short side that the result keeps, above 0 to 1.
        interpolation: Resampling, "bicubic" or "bilinear", both antialiased.
    """

    height: int
    width: int
    crop_pct: float = 1.0
    interpolation: str = "bicubic"

    @property
    def covered_sides(self) -> tuple[int, int]:
        """Rows and columns that the resized image just covers, before its center is cut out."""
        return math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)

    def leaves(self, image_shape: tf.TensorShape) -> bool:
        """Returns whether images of this shape, (rows, columns, channels), stay as they are."""
        return tuple(image_shape[:2]) == self.covered_sides == (self.height, self.width)

    def resized_sides(self, rows: tf.Tensor, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns rows and columns of the resized image, for an image of given rows and columns."""
        height, width = self.covered_sides
        is_wide = columns * height > rows * width
        new_rows = tf.where(is_wide, height, rows * width // columns)
        return new_rows, tf.where(is_wide, columns * height // rows, width)

    def offsets(self, new_rows: tf.Tensor, new_columns: tf.Tensor) -> tf.Tensor:
        """Returns first row and column of the result in the resized image, halves rounded to even, float32."""
        return tf.round(tf.cast([new_rows - self.height, new_columns - self.width], tf.float32) / 2)


def resize_and_crop(images: tf.Tensor, resizing: ResizeAndCrop) -> tf.Tensor:
    """Resizes images of one size until they just cover the sides wanted, and cuts out the center.

    Args:
        images: Tensor of shape (batch, rows, columns, channels), pixels of 0..255.
        resizing: The size wanted, and how to reach it.

    Returns:
        Float32 tensor of shape (batch, height, width, channels), whole numbers of 0..255.
    """
    rows, columns = tf.unstack(tf.shape(images)[1:3])
    new_rows, new_columns = resizing.resized_sides(rows, columns)
    # One step for both: the resized image of a very long one would not fit into memory.
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(images, tf.float32),
        size=(resizing.height, resizing.width),
        scale=tf.cast([new_rows / rows, new_columns / columns], tf.float32),
        translation=-resizing.offsets(new_rows, new_columns),
        kernel_type=KERNELS[resizing.interpolation],
        antialias=True,
    )
    shape = (images.shape[0], resizing.height, resizing.width, images.shape[-1])
    return tf.ensure_shape(tf.clip_by_value(tf.round(resized), 0, 255), shape)


def decode_batch(encoded: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Decodes and fits a batch of encoded images.

    Args:
        encoded: String tensor of shape (batch,).
        image_shape: (height, width, channels) of the result.

    Returns:
        Float32 tensor of shape (batch, height, width, channels), pixels of 0..255.
    """
    height, width, channels = image_shape
    return tf.map_fn(
        lambda item: resize_and_crop(decode_image(item, channels)[tf.newaxis], ResizeAndCrop(height, width))[0],
        encoded,
        fn_output_signature=tf.TensorSpec(image_shape, tf.float32),
    )


def read_images(paths: Sequence[str | PathLike], image_shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Reads, decodes and fits image files.

    Args:
        paths: PNG, JPEG or GIF files.
        image_shape: (height, width, channels) of the results; 1 or 3 channels.

    Returns:
        Float32 arrays of shape (1, height, width, channels), one per file.

    Raises:
        InputError: A file is missing or no image, or no image has that many channels.
    """
    if image_shape[-1] not in DECODABLE_CHANNELS:
        raise InputError(
            f"the model takes {image_shape[-1]} channels; image files have {DECODABLE_CHANNELS}. Give it arrays."
        )
    images = []
    for path in paths:
        try:
            content = Path(path).read_bytes()
            if not content.startswith(SIGNATURES):
                raise InputError(f"{str(path)!r} is not a PNG, JPEG or GIF image. Give another file.")
            images.append(decode_batch(tf.constant([content]), image_shape).numpy())
        except OSError as error:
            raise InputError(f"cannot read {str(path)!r}: {error.strerror}. Give the path of an image.") from error
        except tf.errors.OpError as error:
            raise InputError(f"{str(path)!r} is a broken image. Give another file.") from error
    return images
