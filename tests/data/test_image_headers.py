import struct
import tracemalloc
import zlib

import pytest
import tensorflow as tf

from keras_cct.data.image_headers import MAX_PIXELS, check_image_size, image_size
from keras_cct.errors import InputError

IMAGE = tf.constant(0, tf.uint8, shape=(5, 7, 3))
GIF_FRAME = b"\x2c" + struct.pack("<HHHHB", 0, 0, 7, 5, 0) + b"\x02\x02\x44\x01\x00"


def gif(*frames: bytes, size: tuple[int, int] = (7, 5)) -> bytes:
    palette = bytes(6)
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + palette + b"".join(frames) + b"\x3b"


def webp(chunk: bytes, data: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBP" + chunk + struct.pack("<I", len(data)) + data


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


JPEG = tf.io.encode_jpeg(IMAGE).numpy()
IMAGES = {
    "png": tf.io.encode_png(IMAGE).numpy(),
    "jpeg": JPEG,
    "progressive jpeg": tf.io.encode_jpeg(IMAGE, progressive=True).numpy(),
    "jpeg with long metadata": JPEG[:2] + b"\xff\xe1\xff\xff" + bytes(65533) + JPEG[2:],
    "jpeg with padding": JPEG[:2] + b"\xff" * 9 + JPEG[2:],
    "gif": gif(GIF_FRAME),
    "gif with a frame larger than its screen": gif(GIF_FRAME, size=(1, 1)),
    "gif with an extension": gif(b"\x21\xf9\x04\0\0\0\0\0", GIF_FRAME),
    "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, 7, -5) + bytes(28),
    "old bmp": b"BM" + bytes(12) + struct.pack("<IHH", 12, 7, 5) + bytes(8),
    "webp": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 7, 5)),
    "lossless webp": webp(b"VP8L", b"\x2f" + struct.pack("<I", 6 | 4 << 14)),
    "extended webp": webp(b"VP8X", bytes(4) + (6).to_bytes(3, "little") + (4).to_bytes(3, "little")),
}


@pytest.mark.parametrize("name", IMAGES)
def test_size_is_read_from_the_header(name):
    assert image_size(IMAGES[name]) == (5, 7)
    check_image_size(IMAGES[name], name)


@pytest.mark.parametrize("name", IMAGES)
def test_truncated_headers_are_refused_or_have_a_size(name):
    for length in range(min(100, len(IMAGES[name]))):
        assert image_size(IMAGES[name][:length]) is None or length >= 10
    with pytest.raises(InputError, match="is not a PNG"):
        check_image_size(IMAGES[name][:9], "short")


def test_images_up_to_the_limit_are_accepted():
    check_image_size(png(MAX_PIXELS, 1), "wide")
    for size in ((MAX_PIXELS + 1, 1), (20_000, 20_000), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(InputError, match="'bomb.png' has .* pixels .*more than 178,956,970"):
            check_image_size(png(*size), "bomb.png")
    with pytest.raises(InputError, match="is not a PNG"):
        check_image_size(png(0, 5), "empty.png")


def test_frames_of_an_animation_are_counted_without_decoding():
    content = gif(*[GIF_FRAME] * 100, size=(2000, 1000))
    tracemalloc.start()
    with pytest.raises(InputError, match="200,000,000 pixels"):
        check_image_size(content, "animation.gif")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff" + b"\xff" * 50, b"\xff\xd8\xff\xe0\0\0" * 9])
def test_other_content_has_no_size(content):
    assert image_size(content) is None
