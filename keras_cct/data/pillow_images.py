"""Decodes images of the formats in `FORMATS` with Pillow, upright, without TensorFlow.

PNG, JPEG and GIF files decode to the same pixels as with `keras_cct.data.decode`.
"""

import functools
import io
import struct
from collections.abc import Callable

import numpy as np
from PIL import Image

from keras_cct.errors import InputError
from keras_cct.files import reading

MAX_PIXELS = 178_956_970
"""Largest number of pixels of an image, as its header declares them: the limit of Pillow.

A compressed image of a few kilobytes can decode to gigabytes, so headers are checked before anything is decoded.
"""

MAX_SIDE = 65_535
"""Longest side of an image in pixels, as in JPEG. To resize a wide, flat image takes memory like its width."""

FORMATS = (
    *("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM"),
    *("TGA", "PCX", "SGI", "PSD", "DDS", "QOI", "SUN", "MPO"),
)
"""Formats of Pillow that contain images.

Not those of documents and videos, for which Pillow starts other programs, and not those of icons, whose readers decode
an image of any size before they tell its size.
"""

ORIENTATION_TAG = 0x0112
SHORT = 3
"""Field type of unsigned 16-bit numbers in EXIF blocks."""
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""

_MODES = {1: "L", 3: "RGB"}
_HEADER_ERRORS = (SyntaxError, IndexError, TypeError, KeyError, ValueError, struct.error, EOFError, OSError)
"""What the readers of formats raise for files of other formats."""


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Returns the file name suffixes of `FORMATS`, in lower case with the dot."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def has_image_suffix(path: str) -> bool:
    """Returns whether a file name ends like that of an image."""
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return bool(stem) and f"{dot}{suffix}".lower() in image_suffixes()


def decode_with_pillow(content: bytes, channels: int, name: str = "the image") -> np.ndarray:
    """Decodes an image and turns it upright by its EXIF orientation.

    Images with 16 bits per channel keep the high byte. The alpha channel is dropped. Of an animation, the first frame
    is decoded.

    Args:
        content: The bytes of a file in one of `FORMATS`.
        channels: 3 for RGB, 1 for gray.
        name: Name of the file, for the message.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        InputError: The format is unknown, the file is corrupted, or the image is too large.
    """
    with reading(name, "an image", "Replace or remove it."), _open(content) as image:
        if image.width * image.height > MAX_PIXELS:
            raise InputError(
                f"{name!r} has {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}. Resize it first."
            )
        if max(image.size) > MAX_SIDE:
            raise InputError(
                f"{name!r} has {image.width}x{image.height} pixels, a side longer than {MAX_SIDE:,}. Resize it first."
            )
        image.load()
        return _pixels(_upright(image), _MODES[channels])


def _open(content: bytes) -> Image.Image:
    """Returns the image without decoding it.

    `Image.open` does the same, but warns of large images, which are refused by their number of pixels here.

    Raises:
        InputError: No format fits.
    """
    readers = _readers()
    prefix = content[:16]
    for name in FORMATS:
        if name not in readers:
            continue
        reader, accepts = readers[name]
        try:
            accepted = accepts is None or accepts(prefix)
            if accepted and not isinstance(accepted, str):  # a string says which library is missing
                return reader(io.BytesIO(content), "")
        except _HEADER_ERRORS:
            continue
    raise InputError("not an image in a format that Pillow reads, or corrupted. Use another file.")


@functools.cache
def _readers() -> dict[str, tuple[Callable[..., Image.Image], Callable[[bytes], bool | str] | None]]:
    Image.init()
    return {name: Image.OPEN[name] for name in FORMATS if name in Image.OPEN}  # pyright: ignore[reportReturnType]


def _upright(image: Image.Image) -> Image.Image:
    """Returns the image turned by its EXIF orientation. Pillow turns TIFF images while it loads them."""
    block = image.info.get("exif")
    if image.format == "TIFF" or not isinstance(block, bytes):
        return image
    orientation = _orientation_in(block.removeprefix(b"Exif\0\0"))
    return image.transpose(_TRANSPOSITIONS[orientation]) if orientation in _TRANSPOSITIONS else image


def _orientation_in(block: bytes) -> int:
    """Returns the orientation in an EXIF block, or 1. Pillow's own reader warns of malformed blocks."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, offset) if offset >= 8 else (0,)
        for start in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, field_type, _, long = struct.unpack_from(f"{order}HHII", block, start)
            if tag == ORIENTATION_TAG:
                return struct.unpack_from(f"{order}H", block, start + 8)[0] if field_type == SHORT else long
    except struct.error:  # a truncated block; the image itself is fine
        pass
    return 1


def _pixels(image: Image.Image, mode: str) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit grayscale
        gray = (np.asarray(image) >> 8).astype("uint8")
        return np.repeat(gray[..., None], 3 if mode == "RGB" else 1, axis=-1)
    pixels = np.asarray(image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[..., None]  # (rows, columns, channels)
