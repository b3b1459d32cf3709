import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_cct import InputError
from keras_cct.data.preprocess import Fitting, decode_batch, decode_image, fit_images, read_images


def photo(height: int = 37, width: int = 53, mode: str = "RGB") -> Image.Image:
    """A smooth picture, as photographs are."""
    y, x = np.mgrid[:height, :width]
    channels = [127 + 120 * np.sin(x / 7 + phase) * np.cos(y / 9) for phase in (0, 1, 2)]
    return Image.fromarray(np.stack(channels, axis=-1).astype("uint8")).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fit(image: np.ndarray, fitting: Fitting) -> np.ndarray:
    return fit_images(tf.constant(image)[None], fitting)[0].numpy()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 3), ("RGB", 1), ("L", 1)])
def test_decoding_equals_pillow(kind, mode, channels):
    content = encoded(photo(mode=mode), kind)
    expected = Image.open(io.BytesIO(content)).convert("RGB").convert("RGB" if channels == 3 else "L")
    decoded = decode_image(tf.constant(content), channels).numpy()
    np.testing.assert_array_equal(decoded, np.reshape(expected, decoded.shape))


def test_transparency_is_dropped():
    pixels = np.dstack([np.array(photo()), np.mgrid[:37, :53].sum(axis=0).astype("uint8")])
    content = encoded(Image.fromarray(pixels, "RGBA"), "PNG")
    np.testing.assert_array_equal(decode_image(tf.constant(content), 3), pixels[..., :3])


def test_a_very_long_image_needs_no_more_memory_than_its_window():
    # Resized whole it would have 16 * 16 * 200,000 pixels, 600 MB as float32.
    image = np.zeros((1, 200_000, 3), "uint8")
    image[:, 99_998:100_002] = 255
    fitted = fit(image, Fitting(16, 16))
    assert (fitted[:, 1:-1] == 255).all()


def test_an_image_of_the_right_size_stays_as_it_is():
    image = np.array(photo(20, 30))
    np.testing.assert_array_equal(fit(image, Fitting(20, 30)), image)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 24), (24, 16), (50, 50)])
def test_fitting_equals_resizing_and_cutting_with_pillow(height, width):
    image = photo(37, 53)
    scale = max(height / 37, width / 53)
    rows, columns = (height, int(53 * height / 37)) if scale == height / 37 else (int(37 * width / 53), width)
    resized = np.array(image.resize((columns, rows), Image.Resampling.BICUBIC), dtype=int)
    top, left = round((rows - height) / 2), round((columns - width) / 2)
    expected = resized[top : top + height, left : left + width]
    fitted = fit(np.array(image), Fitting(height, width))
    # Pillow rounds to whole greys between its two passes, TensorFlow only at the end.
    assert np.abs(fitted - expected).max() <= 2
    assert np.abs(fitted - expected).mean() < 0.3


def test_a_batch_of_different_sizes_decodes_inside_a_dataset():
    contents = [encoded(photo(37, 53), "PNG"), encoded(photo(64, 20), "JPEG")]
    dataset = tf.data.Dataset.from_tensors(contents).map(lambda batch: decode_batch(batch, (16, 16, 3)))
    in_dataset = next(iter(dataset)).numpy()
    np.testing.assert_array_equal(in_dataset, decode_batch(tf.constant(contents), (16, 16, 3)))
    np.testing.assert_array_equal(in_dataset[0], fit(np.array(photo(37, 53)), Fitting(16, 16)))


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    (tmp_path / "half.png").write_bytes(encoded(photo(), "PNG")[:200])
    (tmp_path / "half.jpg").write_bytes(encoded(photo(), "JPEG")[:200])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "bitmap.bmp").write_bytes(encoded(photo(), "BMP"))
    for name in ("notes.png", "empty.jpg", "bitmap.bmp"):
        with pytest.raises(InputError, match=f"{name}' is not a PNG, JPEG or GIF image. Give another file."):
            read_images([tmp_path / name], (8, 8, 3))
    for name in ("half.png", "half.jpg"):
        with pytest.raises(InputError, match=f"{name}' is a broken image"):
            read_images([tmp_path / name], (8, 8, 3))
    with pytest.raises(InputError, match=r"cannot read .*none.png': No such file or directory"):
        read_images([tmp_path / "none.png"], (8, 8, 3))


def test_models_of_other_channels_take_no_files():
    with pytest.raises(InputError, match="the model takes 5 channels"):
        read_images(["a.png"], (8, 8, 5))
