"""From an encoded image of any size to the pixels a model takes, inside TensorFlow graphs and out."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.pixel_ops import luma
from keras_cct.errors import InputError

DECODABLE_CHANNELS = (1, 3)
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")
"""First bytes of the files that can be read: PNG, JPEG, GIF."""


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes one PNG, JPEG or GIF (its first frame); those of 8 bits as Pillow does.

    Transparency is dropped, and the orientation that a camera notes is not applied.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
        channels: 3 for RGB, 1 for grey; colour becomes grey as luma of ITU-R 601 in Pillow's integers.

    Returns:
        uint8 tensor of shape (height, width, channels).
    """
    rgb = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return rgb if channels == 3 else luma(rgb)


def fit_image(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes an image until it just covers height x width, and cuts out the centre.

    Args:
        image: Tensor of shape (rows, columns, channels), pixels of 0..255.
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        Float32 tensor of shape (height, width, channels), whole numbers of 0..255 (bicubic, antialiased).
    """
    rows, columns = tf.unstack(tf.shape(image)[:2])
    is_wide = columns * height > rows * width
    new_rows = tf.where(is_wide, height, rows * width // columns)
    new_columns = tf.where(is_wide, columns * height // rows, width)
    offset = tf.round(tf.cast([new_rows - height, new_columns - width], tf.float32) / 2)
    # One step for both: the resized image of a very long one would not fit into memory.
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        size=(height, width),
        scale=tf.cast([new_rows / rows, new_columns / columns], tf.float32),
        translation=-offset,
        kernel_type="keyscubic",
        antialias=True,
    )[0]
    return tf.ensure_shape(tf.clip_by_value(tf.round(resized), 0, 255), (height, width, image.shape[-1]))


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
        lambda item: fit_image(decode_image(item, channels), height, width),
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
