"""Every format that Pillow reads, in training, in `predict` and in files with misleading names."""

import io

import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded, photo
from PIL import Image

from keras_cct.data.decode import decode_any_image
from keras_cct.data.pillow_images import decode_with_pillow, has_image_suffix
from keras_cct.errors import InputError

DEEP = Image.fromarray((np.arange(37 * 53).reshape(37, 53) * 33).astype("uint16"))
IMAGES = {
    "webp": encoded(photo(), "WEBP", quality=90),
    "bmp": encoded(photo(), "BMP"),
    "palette bmp": encoded(photo(mode="P"), "BMP"),
    "tiff": encoded(photo(), "TIFF"),
    "cmyk tiff": encoded(photo(mode="CMYK"), "TIFF"),
    "16-bit tiff": encoded(DEEP, "TIFF"),
    "avif": encoded(photo(), "AVIF"),
    "jpeg 2000": encoded(photo(), "JPEG2000"),
    "ppm": encoded(photo(), "PPM"),
    "tga": encoded(photo(), "TGA"),
    "jpeg": encoded(photo(), "JPEG"),
    "16-bit png": encoded(DEEP, "PNG"),
    "gif": encoded(photo(), "GIF"),
}


@pytest.fixture(scope="module")
def in_pipeline() -> dict[tuple[str, int], np.ndarray]:
    found = {}
    for channels in (1, 3):
        dataset = tf.data.Dataset.from_tensor_slices(list(IMAGES.values()))
        decoded = dataset.map(lambda content, channels=channels: decode_any_image(content, channels))
        found |= {(name, channels): image for name, image in zip(IMAGES, decoded.as_numpy_iterator(), strict=True)}
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_training_and_predict_decode_the_same_pixels(name, channels, in_pipeline):
    pixels = decode_with_pillow(IMAGES[name], channels)
    assert (pixels.shape, pixels.dtype) == ((*Image.open(io.BytesIO(IMAGES[name])).size[::-1], channels), np.uint8)
    np.testing.assert_array_equal(in_pipeline[name, channels], pixels)


@pytest.mark.parametrize("name", IMAGES)
def test_pixels_are_those_of_pillow(name):
    if name.startswith("16-bit"):
        expected = np.repeat((np.asarray(DEEP) >> 8)[..., None], 3, axis=-1)
    else:
        expected = np.asarray(Image.open(io.BytesIO(IMAGES[name])).convert("RGB"))
    np.testing.assert_array_equal(decode_with_pillow(IMAGES[name], 3), expected)


def test_documents_videos_and_icons_are_not_images():
    assert all(map(has_image_suffix, ("a.JPG", "a.jpeg", "x/a.webp", "a.tif", "a.bmp", "a.gif", "a.avif", "a.jp2")))
    assert not any(map(has_image_suffix, ("a.pdf", "a.eps", "a.mpg", "a.txt", "png", "a.heic", "a.h5", "a.ico")))
    for content in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", encoded(photo(32, 32), "ICO")):
        with pytest.raises(InputError, match="'x.png': not an image in a format that Pillow reads"):
            decode_with_pillow(content, 3, "x.png")


@pytest.mark.parametrize("name", ["webp", "tiff", "bmp", "jpeg", "gif", "avif"])
def test_truncated_files_are_one_line(name):
    with pytest.raises(InputError, match="'x'.*corrupted") as error:
        decode_with_pillow(IMAGES[name][: len(IMAGES[name]) // 2], 3, "x")
    assert "\n" not in str(error.value)
