"""Checks the size that an encoded image declares, with TensorFlow operations only, so that a SavedModel contains it.

References: PNG (ISO 15948), JPEG (ITU-T T.81, annex B), GIF89a.
"""

import tensorflow as tf

from keras_cct.data.pillow_images import MAX_PIXELS, MAX_SIDE

MAX_GIF_BLOCKS = 30_000
"""Largest number of blocks of a GIF, each of up to 255 bytes."""

PNG_PREFIX, GIF_PREFIX = b"\x89PNG", b"GIF8"
_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_PNG_HEADER_BYTES, _GIF_HEADER_BYTES = 24, 13
_PADDING = bytes(16)  # reading beyond the end of a truncated file yields zeros


def check_declared_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image unchanged. Fails if decoding it could take more memory than `MAX_PIXELS` pixels do.

    TensorFlow decodes all frames of a GIF to return the first one, each on a canvas as wide as the widest and as high
    as the highest of them, so all of them count.

    Args:
        encoded: Scalar string tensor, the bytes of a PNG, JPEG or GIF.
    """
    num_pixels = tf.cond(tf.io.is_jpeg(encoded), lambda: _jpeg_pixels(encoded), lambda: _other_pixels(encoded))
    is_allowed = num_pixels <= tf.constant(MAX_PIXELS, tf.float64)
    message = f"the image is not a PNG, JPEG or GIF, or has more than {MAX_PIXELS:,} pixels or {MAX_SIDE:,} on a side"
    # Unlike `tf.debugging.assert_less_equal`, one operation per image.
    with tf.control_dependencies([tf.raw_ops.Assert(condition=is_allowed, data=[message])]):
        return tf.identity(encoded)


def _jpeg_pixels(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.float64))


def _other_pixels(encoded: tf.Tensor) -> tf.Tensor:
    start = tf.strings.substr(encoded, 0, tf.minimum(tf.strings.length(encoded), _PNG_HEADER_BYTES))
    header = tf.io.decode_raw(start + bytes(_PNG_HEADER_BYTES), tf.uint8)
    is_png = tf.reduce_all(header[:4] == tuple(PNG_PREFIX))
    return tf.cond(is_png, lambda: _png_pixels(header), lambda: _gif_pixels(encoded))


def _png_pixels(header: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(tf.cast(header[16:24], tf.float64), (2, 4))  # width and height, four bytes each
    sides = tf.linalg.matvec(rows, _powers_of_256(4)[::-1])
    return tf.where(tf.reduce_max(sides) > MAX_SIDE, tf.constant(float("inf"), tf.float64), tf.reduce_prod(sides))


# Not inlined, because even the operations of a branch that is not taken need time.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _gif_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the number of pixels of the screen or of all frames on a canvas that fits each of them.

    It is infinity for too many blocks or another format.
    """
    content = tf.io.decode_raw(tf.strings.join([encoded, _PADDING]), tf.uint8)
    is_gif = tf.reduce_all(content[:4] == tuple(GIF_PREFIX))
    length = tf.strings.length(encoded)

    def sides_at(position: tf.Tensor | int) -> tf.Tensor:
        sides = tf.reshape(tf.cast(content[position : position + 4], tf.float64), (2, 2))
        return tf.tensordot(sides, _powers_of_256(2), 1)

    def color_table_bytes(position: tf.Tensor | int) -> tf.Tensor:
        flags = tf.cast(content[position], tf.int32)
        return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def next_block(
        position: tf.Tensor, is_in_data: tf.Tensor, num_frames: tf.Tensor, sides: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        first = tf.cast(content[position], tf.int32)
        is_start = tf.logical_not(is_in_data)
        is_image = is_start & (first == _GIF_IMAGE)
        is_extension = is_start & (first == _GIF_EXTENSION)
        frame = tf.cond(is_image, lambda: sides_at(position + 5), lambda: tf.zeros(2, tf.float64))
        skipped = tf.case(
            [
                (is_in_data, lambda: first + 1),
                (is_image, lambda: 11 + color_table_bytes(position + 9)),
                (is_extension, lambda: tf.constant(2)),
            ],
            default=lambda: length,  # the trailer
        )
        is_in_data = tf.where(is_in_data, first > 0, is_image | is_extension)
        return position + skipped, is_in_data, num_frames + tf.cast(is_image, tf.float64), tf.maximum(sides, frame)

    start = _GIF_HEADER_BYTES + color_table_bytes(10)
    position, _, num_frames, sides = tf.while_loop(
        lambda position, *_: is_gif & (position < length),
        next_block,
        (start, tf.constant(False), tf.zeros((), tf.float64), tf.zeros(2, tf.float64)),
        maximum_iterations=MAX_GIF_BLOCKS,
    )
    is_complete = is_gif & (position >= length)
    num_pixels = tf.maximum(num_frames * tf.reduce_prod(sides), tf.reduce_prod(sides_at(6)))
    return tf.where(is_complete, num_pixels, tf.constant(float("inf"), tf.float64))


def _powers_of_256(count: int) -> tf.Tensor:
    return tf.constant([256.0**power for power in range(count)], tf.float64)
