"""Images of a report, as data URIs."""

import base64
import io

import numpy as np
from PIL import Image

MAX_SIDE = 160
"""Longer side in pixels to which larger images are downscaled."""

LOSSLESS_SIDE = 64
"""Images whose longer side has at most this many pixels are stored without loss."""
_QUALITY = 80


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Repeats the pixels of a small image, so that a map on top of it is smooth.

    Args:
        pixels: Array of shape (height, width, channels).

    Returns:
        An array with both sides enlarged by the same integer factor, up to `MAX_SIDE` pixels.
    """
    factor = max(1, MAX_SIDE // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def to_data_uri(pixels: np.ndarray) -> str:
    """Returns an image as a data URI: PNG up to 64 pixels, a smaller WebP beyond.

    Args:
        pixels: uint8 array of shape (height, width, channels). With 1 channel it is gray, with 3 RGB; of other numbers
            of channels, the first is shown.
    """
    channels = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    image = Image.fromarray(np.ascontiguousarray(channels))
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    kind = "png" if max(image.size) <= LOSSLESS_SIDE else "webp"
    image.save(stream, kind, quality=_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
