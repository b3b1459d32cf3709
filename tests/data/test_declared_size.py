import contextlib
import io
import resource
import struct

import numpy as np
import pytest
import tensorflow as tf
from fixtures.image_headers import GIF_FRAME, IMAGES, JPEG, gif, png
from PIL import Image

from keras_cct.data.declared_size import MAX_GIF_BLOCKS, check_declared_size
from keras_cct.data.images import EncodedImages, RecordImages
from keras_cct.data.pillow_images import MAX_PIXELS, MAX_SIDE
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError

IN_GRAPH = tf.function(check_declared_size, input_signature=[tf.TensorSpec((), tf.string)])
DECODABLE = [name for name in IMAGES if "bmp" not in name and "webp" not in name]
FRAME_HEADER = JPEG.index(b"\xff\xc0") + 5
LARGE_JPEG = JPEG[:FRAME_HEADER] + struct.pack(">HH", 20_000, 20_000) + JPEG[FRAME_HEADER + 4 :]
LARGE_FRAME = b"\x2c" + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0x80) + bytes(6) + GIF_FRAME[10:]


def wide_frame(width: int, height: int) -> bytes:
    return GIF_FRAME.replace(struct.pack("<HH", 7, 5), struct.pack("<HH", width, height))


@pytest.mark.parametrize("check", [check_declared_size, IN_GRAPH], ids=["eager", "graph"])
@pytest.mark.parametrize("name", DECODABLE)
def test_small_images_are_unchanged(name, check):
    assert check(tf.constant(IMAGES[name])).numpy() == IMAGES[name]


@pytest.mark.parametrize("check", [check_declared_size, IN_GRAPH], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "content",
    [
        png(20_000, 20_000),
        png(MAX_SIDE + 1, 1),
        png(1, MAX_SIDE + 1),
        png(2**32 - 1, 2**32 - 1),
        LARGE_JPEG,
        gif(GIF_FRAME, size=(20_000, 20_000)),
        gif(LARGE_FRAME),
        gif(*[wide_frame(2000, 1000)] * 100),
        gif(wide_frame(20_000, 1), wide_frame(1, 20_000)),
        gif(b"\x21\xfe" + b"\x01\0" * (MAX_GIF_BLOCKS + 1) + b"\0"),
        IMAGES["bmp"],
        IMAGES["webp"],
        b"",
    ],
    ids=[
        *("png", "wide png", "high png", "png of all ones", "jpeg", "screen", "frame", "frames", "crossing frames"),
        *("blocks", "bmp", "webp", "empty"),
    ],
)
def test_large_and_other_images_fail(content, check):
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not a PNG, JPEG or GIF, or has more than 178,956,970"):
        check(tf.constant(content))


@pytest.mark.parametrize("sides", [(MAX_PIXELS // MAX_SIDE, MAX_SIDE), (MAX_SIDE, 1), (13_000, 13_000)])
def test_limits_themselves_are_accepted(sides):
    IN_GRAPH(tf.constant(png(*sides)))


@pytest.mark.parametrize("name", DECODABLE)
def test_truncated_headers_pass_or_fail_without_another_error(name):
    for length in range(40):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            IN_GRAPH(tf.constant(IMAGES[name][:length]))


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in 390 kB."""
    buffer = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


def peak_memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_bomb_is_replaced_by_the_next_image_before_it_is_decoded(bomb, tmp_path):
    for name, content in (("bomb.png", bomb), ("tiny.png", IMAGES["png"])):
        (tmp_path / name).write_bytes(content)
    data = EncodedImages([str(tmp_path / "bomb.png"), str(tmp_path / "tiny.png")], np.array([0, 1]), ("a", "b"))
    before = peak_memory()
    image, label = data.read(tf.constant(0))
    assert (image.shape, int(label)) == ((5, 7, 3), 1)
    assert peak_memory() - before < 100e6


def test_bomb_in_a_stream_is_one_error(bomb):
    records = tf.data.Dataset.from_tensors((bomb, tf.constant(0, tf.int64)))
    data = RecordImages(records, 1, len(bomb), ("a",), "train")
    before = peak_memory()
    with pytest.raises(InputError, match="image 0 of train"), raising_input_errors(data):
        list(data.in_order().map(data.read))
    assert peak_memory() - before < 100e6
