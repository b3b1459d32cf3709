import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded, photo, photos_in
from PIL import Image

from keras_cct.data.decode import ResizeAndCrop, decode_batch
from keras_cct.data.decode import resize_and_crop as resize_and_crop_with_tensorflow
from keras_cct.data.sources.scan import scan_images
from keras_cct.errors import InputError
from keras_cct.inference.image_files import find_image_files, read_image
from keras_cct.inference.resampling import resize_and_crop

ENCODED = {
    "png": encoded(photo(), "PNG"),
    "png of the model's size": encoded(photo(28, 20), "PNG"),
    "jpeg": encoded(photo(300, 451), "JPEG"),
    "progressive jpeg": encoded(photo(100, 80), "JPEG", progressive=True),
    "gray jpeg": encoded(photo(mode="L"), "JPEG"),
    "cmyk jpeg": encoded(photo(mode="CMYK"), "JPEG"),
    "gray png": encoded(photo(mode="L"), "PNG"),
    "palette png": encoded(photo(mode="P"), "PNG"),
    "1-bit png": encoded(photo(mode="1"), "PNG"),
    "transparent png": encoded(photo(mode="RGBA"), "PNG"),
    "gray transparent png": encoded(photo(mode="LA"), "PNG"),
    "16-bit png": encoded(Image.fromarray((np.arange(40 * 30).reshape(40, 30) * 50).astype("uint16")), "PNG"),
    "gif": encoded(photo(), "GIF"),
    "1x1 png": encoded(photo(1, 1), "PNG"),
    "long png": encoded(photo(3, 2000), "PNG"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ENCODED)
def test_pixels_equal_those_that_tensorflow_decodes_and_resizes(name, channels):
    shape = (28, 20, channels)
    expected = decode_batch(tf.constant([ENCODED[name]]), shape)[0].numpy()
    pixels = read_image(ENCODED[name], shape)
    assert (pixels.shape, pixels.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("size", [(1500, 40), (41, 977), (7, 5), (1, 300), (64, 64)])
@pytest.mark.parametrize(("height", "width"), [(30, 20), (16, 16), (96, 61)])
def test_noise_is_resized_to_the_same_pixels_as_with_tensorflow(size, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
    expected = resize_and_crop_with_tensorflow(pixels[None], ResizeAndCrop(height, width))[0].numpy()
    np.testing.assert_array_equal(resize_and_crop(pixels, height, width), expected)


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png_header(20_000, 20_000), "has 20000x20000 pixels, more than 178,956,970"),
        (png_header(70_000, 2), "has 70000x2 pixels, a side longer than 65,535"),
        (png_header(20, 20), "corrupted"),
        (ENCODED["jpeg"][:2000], "corrupted"),
        (ENCODED["png"][:-500], "corrupted"),
        (ENCODED["gif"][:50], "corrupted"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "corrupted"),
        (b"\x89PNG\r\n\x1a\n", "corrupted"),
        (b"GIF89a", "corrupted"),
        (b"RIFF....WEBP", "not an image in a format that Pillow reads"),
        (b"", "not an image in a format that Pillow reads"),
    ],
)
def test_broken_and_huge_images_are_one_line(content, message, tmp_path):
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(InputError, match="image.png") as error:
        read_image(tmp_path / "image.png", (8, 8, 3))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_other_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match="none.png' does not exist"):
        read_image(tmp_path / "none.png", (8, 8, 3))
    with pytest.raises(InputError, match="takes 5 channels"):
        read_image(ENCODED["png"], (8, 8, 5))


def test_pipes_and_devices_are_refused_without_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(InputError, match=f"{name}.png' is not a regular file"):
            read_image(tmp_path / f"{name}.png", (8, 8, 3))


def test_folders_are_searched_for_images_that_are_not_hidden_in_the_order_of_their_paths(tmp_path):
    photos_in(tmp_path, ["b/1.png", "a/2.jpg", "c.JPEG", "a/._2.jpg", ".thumbnails/1.png"])
    (tmp_path / "a" / "notes.txt").touch()
    names = [str(path.relative_to(tmp_path)) for path in find_image_files(tmp_path)]
    assert names == ["a/2.jpg", "b/1.png", "c.JPEG"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images found in .*empty"):
        list(find_image_files(tmp_path / "empty"))


@pytest.fixture
def deep_folder(tmp_path):
    """A folder, and an image 1,200 folders below it."""
    folder = top = tmp_path / "deep"
    for _ in range(1200):
        folder.mkdir()
        folder = folder / "d"
    folder.mkdir()
    image = folder / "x.png"
    image.write_bytes(ENCODED["png"])
    yield top, image
    image.unlink()
    os.removedirs(folder)  # `shutil.rmtree` is recursive


def test_folders_can_be_nested_deeper_than_the_stack_of_python(deep_folder):
    top, image = deep_folder
    assert list(find_image_files(top)) == [image]
    assert scan_images(top) == [(str(image), "d")]


def test_bytes_and_files_give_the_same_pixels(tmp_path):
    (tmp_path / "image").write_bytes(ENCODED["png"])
    np.testing.assert_array_equal(read_image(tmp_path / "image", (8, 8, 3)), read_image(ENCODED["png"], (8, 8, 3)))
