"""Checks the size that an encoded image declares, with TensorFlow operations only, so that a SavedModel contains it.

References: PNG (ISO 15948), JPEG (ITU-T T.81, annex B), GIF89a.
"""

import tensorflow as tf

from keras_cct.data.image_headers import MAX_PIXELS

PNG_PREFIX, GIF_PREFIX = b"\x89PNG", b"GIF8"
MAX_GIF_BLOCKS = 30_000
"""Largest number of blocks of a GIF, each of up to 255 bytes."""

_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_PNG_HEADER_BYTES, _GIF_HEADER_BYTES = 24, 13
_PADDING = bytes(16)  # reading beyond the end of a truncated file yields zeros


def check_declared_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image unchanged. Fails if decoding it could take more memory than `MAX_PIXELS` pixels do.

    TensorFlow decodes all frames of a GIF to return the first one, so all of them count.

    Args:
        encoded: Scalar string tensor, the bytes of a PNG, JPEG or GIF.
    """
    prefix = tf.strings.substr(encoded, 0, tf.minimum(tf.strings.length(encoded), 4))
    num_pixels = tf.case(
        [
            (tf.io.is_jpeg(encoded), lambda: _jpeg_pixels(encoded)),
            (prefix == PNG_PREFIX, lambda: _png_pixels(encoded)),
            (prefix == GIF_PREFIX, lambda: _gif_pixels(encoded)),
        ],
        default=lambda: tf.constant(float("inf"), tf.float64),
    )
    limit = tf.constant(MAX_PIXELS, tf.float64)
    message = f"the image is not a PNG, JPEG or GIF, or has more than {MAX_PIXELS:,} pixels"
    with tf.control_dependencies([tf.debugging.assert_less_equal(num_pixels, limit, message)]):
        return tf.identity(encoded)


def _jpeg_pixels(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.float64))


def _png_pixels(encoded: tf.Tensor) -> tf.Tensor:
    start = tf.strings.substr(encoded, 0, tf.minimum(tf.strings.length(encoded), _PNG_HEADER_BYTES))
    header = tf.io.decode_raw(tf.strings.substr(start + bytes(_PNG_HEADER_BYTES), 16, 8), tf.uint8)
    sides = tf.tensordot(tf.reshape(tf.cast(header, tf.float64), (2, 4)), _powers_of_256(4)[::-1], 1)
    return tf.reduce_prod(sides)


@tf.function  # an eager loop would be slow
def _gif_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the number of pixels of the screen or of all frames; infinity if there are too many blocks."""
    content = tf.io.decode_raw(tf.strings.join([encoded, _PADDING]), tf.uint8)
    length = tf.strings.length(encoded)

    def pixels_at(position: tf.Tensor | int) -> tf.Tensor:
        sides = tf.reshape(tf.cast(content[position : position + 4], tf.float64), (2, 2))
        return tf.reduce_prod(tf.tensordot(sides, _powers_of_256(2), 1))

    def color_table_bytes(position: tf.Tensor | int) -> tf.Tensor:
        flags = tf.cast(content[position], tf.int32)
        return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def next_block(
        position: tf.Tensor, is_in_data: tf.Tensor, pixels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        first = tf.cast(content[position], tf.int32)
        is_image = ~is_in_data & (first == _GIF_IMAGE)
        is_extension = ~is_in_data & (first == _GIF_EXTENSION)
        frame = tf.cond(is_image, lambda: pixels_at(position + 5), lambda: tf.zeros((), tf.float64))
        skipped = tf.case(
            [
                (is_in_data, lambda: first + 1),
                (is_image, lambda: 11 + color_table_bytes(position + 9)),
                (is_extension, lambda: tf.constant(2)),
            ],
            default=lambda: length,  # the trailer
        )
        return position + skipped, tf.where(is_in_data, first > 0, is_image | is_extension), pixels + frame

    start = _GIF_HEADER_BYTES + color_table_bytes(10)
    position, _, pixels = tf.while_loop(
        lambda position, *_: position < length,
        next_block,
        (start, tf.constant(False), tf.zeros((), tf.float64)),
        maximum_iterations=MAX_GIF_BLOCKS,
    )
    is_complete = position >= length
    return tf.where(is_complete, tf.maximum(pixels, pixels_at(6)), tf.constant(float("inf"), tf.float64))


def _powers_of_256(count: int) -> tf.Tensor:
    return tf.constant([256.0**power for power in range(count)], tf.float64)
