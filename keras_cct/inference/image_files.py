"""Reads image files for prediction, with Pillow and NumPy, so that most artifacts run without TensorFlow.

Decoded pixels are identical to those of `keras_cct.data.decode`, which training and `serve_encoded` use; resized pixels
differ by at most 1, due to rounding.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin

from keras_cct.data.image_headers import MAX_PIXELS
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif")

_READERS = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"GIF8": GifImagePlugin.GifImageFile,
}
_MODES = {1: "L", 3: "RGB"}
_ROWS_PER_BLOCK = 512


def find_image_files(path: str | PathLike) -> Iterator[Path]:
    """Yields the image files in a folder and its subfolders, sorted by path; any other path unchanged.

    Raises:
        InputError: The folder contains no images.
    """
    path = Path(path)
    if not path.is_dir():
        yield path
        return
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS and file.is_file())
    if not files:
        raise InputError(f"no images found in {str(path)!r}. Expected PNG, JPEG or GIF files.")
    yield from files


def read_image(source: bytes | str | PathLike, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Reads, decodes, resizes and center-crops an image.

    The image is resized with antialiased bicubic interpolation until it just covers the target size, keeping its aspect
    ratio. Alpha channels are dropped, EXIF orientation is ignored, and only the first frame of a GIF is used.

    Args:
        source: Path or content of a PNG, JPEG or GIF file.
        image_shape: (height, width, channels) of the result; 1 or 3 channels.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        InputError: The file is missing, corrupted, too large or of another format, or `image_shape` has neither 1 nor
            3 channels.
    """
    if image_shape[-1] not in _MODES:
        raise InputError(
            f"the model takes {image_shape[-1]} channels; image files have 1 or 3. Pass arrays to `predict` instead."
        )
    name = "the image" if isinstance(source, bytes) else repr(str(source))
    content = source if isinstance(source, bytes) else _read(source)
    readers = [reader for signature, reader in _READERS.items() if content.startswith(signature)]
    if not readers:
        raise InputError(f"{name} is not a PNG, JPEG or GIF image. Convert it to one of these formats.")
    try:
        with readers[0](io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{name} has {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}. Resize it first."
                )
            pixels = _decode(image, _MODES[image_shape[-1]])
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, TypeError) as error:
        raise InputError(f"{name} is a corrupted image. Replace or remove it.") from error
    return resize_and_crop(pixels, *image_shape[:2])


def _read(path: str | PathLike) -> bytes:
    file = check_is_file(path, "Pass the path of an image file.")
    with reading(path, "a readable file"):
        return file.read_bytes()


def _decode(image: Image.Image, mode: str) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grayscale; keep the upper 8 bits
        gray = (np.asarray(image) >> 8).astype("uint8")
        return np.repeat(gray[..., None], 3 if mode == "RGB" else 1, axis=-1)
    pixels = np.asarray(image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[..., None]  # (rows, columns, channels)


def resize_and_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an image until it just covers a size, and crops the center.

    Args:
        pixels: uint8 array of shape (rows, columns, channels).
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        uint8 array of shape (height, width, channels).
    """
    rows, columns, channels = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    is_wide = columns * height > rows * width
    new_rows = height if is_wide else rows * width // columns
    new_columns = columns * height // rows if is_wide else width
    row_weights = _resampling_weights(rows, new_rows, height)
    column_weights = _resampling_weights(columns, new_columns, width)
    resized = np.zeros((height, columns * channels), "float32")
    for start in range(0, rows, _ROWS_PER_BLOCK):  # converting a large image at once would need 4 times its size
        block = pixels[start : start + _ROWS_PER_BLOCK].astype("float32")
        resized += row_weights[:, start : start + len(block)] @ block.reshape(len(block), -1)
    resized = np.einsum("wc,hck->hwk", column_weights, resized.reshape(height, columns, channels), optimize=True)
    return np.clip(np.round(resized), 0, 255).astype("uint8")


def _resampling_weights(size: int, resized_size: int, cropped_size: int) -> np.ndarray:
    """Returns the matrix (cropped_size, size) that resizes one axis and crops its center."""
    scale = resized_size / size
    offset = np.round((resized_size - cropped_size) / 2)
    centers = (np.arange(cropped_size) + 0.5 + offset) / scale  # in the image's pixels
    stretch = max(1 / scale, 1.0)  # antialiasing: a smaller image averages more pixels
    distances = np.abs(np.arange(size) + 0.5 - centers[:, None]) / stretch  # (cropped_size, size)
    weights = _keys_cubic(distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """The bicubic kernel of Pillow and TensorFlow: the Keys kernel with a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
