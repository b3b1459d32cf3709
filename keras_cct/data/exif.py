"""EXIF orientation with TensorFlow operations only, so that a SavedModel turns photos upright like Pillow does.

Cameras store an image as their sensor reads it, and in the tag "orientation" how to turn it. JPEG files have the tag in
an APP1 segment, PNG files in an eXIf chunk. Both contain the block that is searched for here: loops over the segments
would need more time to build their graphs than all the rest of decoding.

References: Exif 2.32 (CIPA DC-008-2019), sections 4.5 and 4.6; PNG (third edition), eXIf.
"""

import tensorflow as tf

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
SHORT = 3
"""Field type of unsigned 16-bit numbers."""
BYTE_ORDERS = {"little": b"II*\0", "big": b"MM\0*"}
"""First bytes of an EXIF block, by its byte order."""

MAX_HEADER_BYTES = 2**19
"""First bytes of a JPEG file that are searched: its metadata are in front of its pixels."""
MAX_BLOCK_BYTES = 2**16
MAX_ENTRIES = 100

_PADDING = bytes(16)  # reading beyond the end of a truncated block yields zeros


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of an encoded JPEG or PNG, a scalar int32 from 1 (upright) to 8.

    Malformed EXIF data and other formats count as upright.

    Args:
        encoded: Scalar string tensor, the bytes of the file.
    """
    length = tf.strings.length(encoded)
    is_jpeg = tf.io.is_jpeg(encoded)
    searched = tf.strings.substr(encoded, 0, tf.where(is_jpeg, tf.minimum(length, MAX_HEADER_BYTES), length))
    prefix = tf.where(is_jpeg, b"Exif\0\0", b"eXIf")
    found = [_orientation_after(searched, prefix, order) for order in BYTE_ORDERS]
    return tf.reduce_max(tf.stack([UPRIGHT, *found]))


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Returns an image, (height, width, channels), turned by its EXIF orientation, a scalar int32 from 1 to 8."""
    shape = (None, None, image.shape[-1])
    axes = tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2])
    image = tf.ensure_shape(tf.transpose(image, axes), shape)  # pyright: ignore[reportArgumentType] (the stub's)
    column_step = tf.where(_is_one_of(orientation, (2, 3, 6, 7)), -1, 1)
    row_step = tf.where(_is_one_of(orientation, (3, 4, 7, 8)), -1, 1)
    return tf.ensure_shape(image[::row_step, ::column_step], shape)


def _is_one_of(value: tf.Tensor, choices: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(choices))


def _orientation_after(content: tf.Tensor, prefix: tf.Tensor, order: str) -> tf.Tensor:
    """Returns the orientation in the first EXIF block of a byte order, or 0."""
    separator = tf.strings.join([prefix, BYTE_ORDERS[order]])
    parts = tf.raw_ops.StringSplitV2(input=[tf.strings.join([content, _PADDING])], sep=separator, maxsplit=1).values
    block = tf.strings.substr(parts[-1], 0, tf.minimum(tf.strings.length(parts[-1]), MAX_BLOCK_BYTES))
    orientation = _orientation_in(tf.strings.join([BYTE_ORDERS[order], block, _PADDING]), order)
    return tf.where(tf.size(parts) > 1, orientation, 0)


def _orientation_in(block: tf.Tensor, order: str) -> tf.Tensor:
    """Returns the orientation in an EXIF block, which is a small TIFF file, or 0."""
    end = tf.strings.length(block) - len(_PADDING)
    offset = _numbers(_bytes(block, 4, 4), order)
    offset = tf.where((offset >= 8) & (offset + 2 <= end), offset, end)
    count = tf.minimum(_numbers(_bytes(block, offset, 2), order), (end - offset - 2) // 12)
    size = 12 * tf.clip_by_value(count, 0, MAX_ENTRIES)
    entries = tf.reshape(_bytes(block, offset + 2, size), (-1, 12))  # (entries, bytes): tag, type, count, value
    is_orientation = _numbers(entries[:, :2], order) == ORIENTATION_TAG
    is_short = _numbers(entries[:, 2:4], order) == SHORT
    values = tf.where(is_short, _numbers(entries[:, 8:10], order), _numbers(entries[:, 8:], order))
    is_valid = is_orientation & (values >= 1) & (values <= 8)
    return tf.reduce_max(tf.concat([tf.where(is_valid, values, 0), [0]], axis=0))


def _bytes(content: tf.Tensor, position: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Returns `count` bytes of a string as int32."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(content, position, count), tf.uint8), tf.int32)


def _numbers(digits: tf.Tensor, order: str) -> tf.Tensor:
    """Returns unsigned integers whose bytes are the last axis. 2**31 and more become negative."""
    exponents = tf.range(tf.shape(digits)[-1])
    exponents = exponents if order == "little" else exponents[::-1]
    return tf.reduce_sum(tf.bitwise.left_shift(digits, 8 * exponents), axis=-1)
