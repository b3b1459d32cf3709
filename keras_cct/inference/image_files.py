"""Reads image files for prediction, with Pillow and NumPy, so that most artifacts run without TensorFlow.

The pixels are identical to those of `keras_cct.data.decode`, which training and `serve_encoded` use.
"""

import contextlib
import os
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from keras_cct.data.pillow_images import decode_with_pillow, has_image_suffix
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading
from keras_cct.inference.resampling import resize_and_crop

READABLE_CHANNELS = (1, 3)


def find_image_files(path: str | PathLike) -> Iterator[Path]:
    """Yields the image files in a folder and its subfolders, sorted by path; any other path unchanged.

    Raises:
        InputError: The folder contains no images.
    """
    path = Path(path)
    if not path.is_dir():
        yield path
        return
    files = sorted(_image_files_below(path))
    if not files:
        raise InputError(f"no images found in {str(path)!r}. Expected files such as .jpg, .png, .webp or .tiff.")
    yield from files


def _image_files_below(top: Path) -> Iterator[Path]:
    # `Path.rglob` and `os.walk` fail in folders that are nested deeper than Python's stack.
    waiting = [str(top)]
    while waiting:
        with contextlib.suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):  # as in training; macOS adds a file ._NAME to each photo
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif has_image_suffix(entry.name) and entry.is_file():
                    yield Path(entry.path)


def read_image(source: bytes | str | PathLike, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Reads, decodes, resizes and center-crops an image.

    The image is turned upright by its EXIF orientation and resized with antialiased bicubic interpolation until it just
    covers the target size, keeping its aspect ratio. Alpha channels are dropped, and only the first frame of an
    animation is used.

    Args:
        source: Path or content of a file in any format that Pillow reads.
        image_shape: (height, width, channels) of the result; 1 or 3 channels.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        InputError: The file is missing, corrupted, too large or of an unknown format, or `image_shape` has neither 1
            nor 3 channels.
    """
    if image_shape[-1] not in READABLE_CHANNELS:
        raise InputError(
            f"the model takes {image_shape[-1]} channels; image files have 1 or 3. Pass arrays to `predict` instead."
        )
    name = "the image" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else _read(source)
    return resize_and_crop(decode_with_pillow(content, image_shape[-1], name), *image_shape[:2])


def _read(path: str | PathLike) -> bytes:
    file = check_is_file(path, "Pass the path of an image file.")
    with reading(path, "a readable file"):
        return file.read_bytes()
