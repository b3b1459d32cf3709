"""EXIF orientation, in TensorFlow and in Pillow, against Pillow's own transposition."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded, photo
from PIL import Image, ImageOps

from keras_cct.data.decode import decode_image
from keras_cct.data.exif import exif_orientation
from keras_cct.data.pillow_images import decode_with_pillow

decode = tf.function(decode_image, reduce_retracing=True)


def exif(orientation: int, order: str = "<", field_type: str = "H", before: int = 0) -> bytes:
    """Returns an EXIF block with `before` other tags before the orientation."""
    entries = [struct.pack(f"{order}HHII", 0x0100 + number, 4, 1, 6) for number in range(before)]
    value = struct.pack(f"{order}{field_type}", orientation).ljust(4, b"\0")
    entries.append(struct.pack(f"{order}HHI", 0x0112, {"H": 3, "I": 4}[field_type], 1) + value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return head + b"".join(entries) + bytes(4)


def upright(content: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright_as_in_pillow(orientation, file_format):
    order, field_type = ("<", "H") if orientation % 2 else (">", "I" if orientation % 4 else "H")
    block = exif(orientation, order, field_type, before=orientation)
    block = b"Exif\0\0" + block if file_format == "JPEG" else block
    content = encoded(photo(24, 40), file_format, exif=block)
    expected = upright(content)
    assert expected.shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))
    np.testing.assert_array_equal(decode(tf.constant(content), 3), expected)
    np.testing.assert_array_equal(decode_with_pillow(content, 3), expected)
    assert int(exif_orientation(tf.constant(content))) == orientation


@pytest.mark.parametrize("file_format", ["WEBP", "TIFF"])
def test_pillow_formats_are_turned_upright(file_format):
    content = encoded(photo(24, 40), file_format, exif=exif(6), **({"lossless": True} if file_format == "WEBP" else {}))
    np.testing.assert_array_equal(decode_with_pillow(content, 3), upright(content))
    assert decode_with_pillow(content, 3).shape == (40, 24, 3)


def test_exif_behind_other_segments_is_found():
    options = {"icc_profile": bytes(70_000), "comment": b"a comment", "exif": b"Exif\0\0" + exif(8)}
    content = encoded(photo(24, 40), "JPEG", **options)
    assert int(exif_orientation(tf.constant(content))) == 8
    png = encoded(photo(24, 40), "PNG", exif=exif(3))
    start, end = png.index(b"eXIf") - 4, png.index(b"eXIf") + 8 + len(exif(3))
    moved = png[:start] + png[end:-12] + png[start:end] + png[-12:]  # behind the pixels
    assert int(exif_orientation(tf.constant(moved))) == 3
    np.testing.assert_array_equal(decode(tf.constant(moved), 3), decode_with_pillow(moved, 3))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # Pillow looks for the resolution
@pytest.mark.parametrize("order", ["<", ">"])
def test_malformed_exif_counts_as_upright_and_never_fails(order):
    rng = np.random.default_rng(0)
    block = bytearray(exif(6, order))
    faults = [block[:length] for length in (0, 3, 8, 9, 12, 20)] + [exif(value, order) for value in (0, 9, 65535)]
    for index in range(len(block)):
        changed = bytearray(block)
        changed[index] = int(rng.integers(0, 256))
        faults.append(changed)
    for fault in faults:
        jpeg = encoded(photo(8, 16), "JPEG", exif=b"Exif\0\0" + bytes(fault))
        assert sorted(decode(tf.constant(jpeg), 3).shape) == [3, 8, 16]
        assert sorted(decode_with_pillow(jpeg, 3).shape) == [3, 8, 16]
    for content in (b"", b"\xff", b"\xff\xd8\xff", b"\x89PNG", b"\x89PNG\r\n\x1a\n" + b"\xff" * 20, b"GIF8"):
        assert int(exif_orientation(tf.constant(content))) == 1
