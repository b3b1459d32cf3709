import io

import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN
from fixtures.images import encoded, photo
from PIL import Image

from keras_cct.data.decode import ResizeAndCrop, decode_batch, decode_image, resize_and_crop


def resized(image: np.ndarray, resize: ResizeAndCrop) -> np.ndarray:
    return resize_and_crop(tf.constant(image)[None], resize)[0].numpy()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 3), ("RGB", 1), ("L", 1)])
def test_decoding_equals_pillow(file_format, mode, channels):
    content = encoded(photo(mode=mode), file_format)
    expected = Image.open(io.BytesIO(content)).convert("RGB").convert("RGB" if channels == 3 else "L")
    decoded = decode_image(tf.constant(content), channels).numpy()
    np.testing.assert_array_equal(decoded, np.reshape(expected, decoded.shape))


def test_alpha_channel_is_dropped():
    pixels = np.dstack([np.array(photo()), np.mgrid[:37, :53].sum(axis=0).astype("uint8")])
    content = encoded(Image.fromarray(pixels, "RGBA"), "PNG")
    np.testing.assert_array_equal(decode_image(tf.constant(content), 3), pixels[..., :3])


def test_very_long_images_need_little_memory():
    # Resized without cropping it would have 16 * 16 * 200,000 pixels, 600 MB as float32.
    image = np.zeros((1, 200_000, 3), "uint8")
    image[:, 99_998:100_002] = 255
    found = resized(image, ResizeAndCrop(16, 16))
    assert (found[:, 1:-1] == 255).all()


def test_images_of_the_output_size_do_not_change():
    image = np.array(photo(20, 30))
    np.testing.assert_array_equal(resized(image, ResizeAndCrop(20, 30)), image)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 24), (24, 16), (50, 50)])
def test_resize_and_crop_equals_pillow(height, width):
    image = photo(37, 53)
    scale = max(height / 37, width / 53)
    rows, columns = (height, int(53 * height / 37)) if scale == height / 37 else (int(37 * width / 53), width)
    whole = np.array(image.resize((columns, rows), Image.Resampling.BICUBIC), dtype=int)
    top, left = round((rows - height) / 2), round((columns - width) / 2)
    expected = whole[top : top + height, left : left + width]
    found = resized(np.array(image), ResizeAndCrop(height, width))
    # Pillow rounds between its two passes, TensorFlow only at the end.
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - expected).mean() < 0.3


def test_a_batch_of_different_sizes_decodes_inside_a_dataset():
    contents = [encoded(photo(37, 53), "PNG"), encoded(photo(64, 20), "JPEG")]
    dataset = tf.data.Dataset.from_tensors(contents).map(lambda batch: decode_batch(batch, (16, 16, 3)))
    in_dataset = next(iter(dataset)).numpy()
    np.testing.assert_array_equal(in_dataset, decode_batch(tf.constant(contents), (16, 16, 3)))
    np.testing.assert_array_equal(in_dataset[0], resized(np.array(photo(37, 53)), ResizeAndCrop(16, 16)))


@pytest.mark.parametrize(
    ("file_format", "picture"),
    [
        ("JPEG", photo(mode="CMYK")),
        ("PNG", photo(mode="P")),
        ("PNG", photo(mode="1")),
        ("PNG", photo(mode="LA")),
        ("GIF", photo(mode="P")),
    ],
    ids=["CMYK", "palette", "one bit", "gray with transparency", "GIF"],
)
def test_unusual_color_modes_are_converted_to_rgb_as_in_pillow(file_format, picture):
    content = encoded(picture, file_format)
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    np.testing.assert_array_equal(decode_image(tf.constant(content), 3), expected)


def test_images_of_16_bits_keep_the_high_byte():
    pixels = np.arange(40 * 50, dtype="uint16").reshape(40, 50, 1) * 32
    decoded = decode_image(tf.io.encode_png(pixels), 3)
    np.testing.assert_array_equal(decoded, np.repeat(pixels >> 8, 3, axis=-1))


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_the_first_frame_of_an_animation_is_decoded(file_format):
    frames = [photo(phase=phase) for phase in range(3)]
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    np.testing.assert_array_equal(decode_image(tf.constant(content), 3), expected)


@pytest.mark.parametrize("row", GOLDEN["eval_resize_crop"]["rows"])
def test_evaluation_resizes_and_crops_as_timm(row):
    img_size, crop_pct, width, height, short, new_width, new_height, left, top = row
    resize = ResizeAndCrop(img_size, img_size, crop_pct)
    assert resize.covered_sides == (short, short)
    sides = resize.resized_sides(tf.constant(height), tf.constant(width))
    assert [int(side) for side in sides] == [new_height, new_width]
    assert resize.offsets(*sides).numpy().tolist() == [top, left]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(75, 100), (100, 66), (20, 20)])
def test_evaluation_pixels_equal_pillow(size, interpolation):
    resize = ResizeAndCrop(45, 45, 0.9, interpolation)
    image = photo(*size)
    rows, columns = (int(side) for side in resize.resized_sides(tf.constant(size[0]), tf.constant(size[1])))
    top, left = (int(offset) for offset in resize.offsets(tf.constant(rows), tf.constant(columns)))
    whole = np.array(image.resize((columns, rows), Image.Resampling[interpolation.upper()]), dtype=int)
    difference = np.abs(resized(np.array(image), resize) - whole[top : top + 45, left : left + 45])
    # Pillow rounds between its two passes, TensorFlow only at the end.
    assert difference.max() <= 1
    assert difference.mean() < 0.3
