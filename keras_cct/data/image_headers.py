"""Sizes of PNG, JPEG, GIF, BMP and WebP images, read from their headers before anything is decoded.

A compressed image of a few kilobytes can decode to gigabytes.

References: PNG (ISO 15948), JPEG (ITU-T T.81, annex B), GIF89a, BITMAPINFOHEADER, WebP container (RFC 9649).
"""

import struct

from keras_cct.errors import InputError

MAX_PIXELS = 178_956_970
"""Largest number of pixels of an image, all frames of an animation included: the limit of Pillow."""
HEADER_BYTES = 2**16
"""First bytes of a file that contain the size, except for JPEG files with long metadata."""

_PNG, _BMP = b"\x89PNG\r\n\x1a\n", b"BM"
_GIFS = (b"GIF87a", b"GIF89a")
_JPEG = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, SOF0 to SOF15; DHT, JPG and DAC lie between them."""
_JPEG_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a length: TEM, RST0 to RST7 and SOI."""


def image_size(content: bytes) -> tuple[int, int] | None:
    """Returns (height, width) in pixels as the header of an encoded image declares them.

    Args:
        content: The encoded image, or at least its header.

    Returns:
        The size, or None if the format is unknown or the header is incomplete.
    """
    try:
        if content.startswith(_PNG):
            width, height = struct.unpack_from(">II", content, 16)
            return (height, width) if content[12:16] == b"IHDR" else None
        if content.startswith(_GIFS):
            return _gif_size(content)
        if content.startswith(_BMP):
            return _bmp_size(content)
        if content.startswith(_JPEG):
            return _jpeg_size(content)
        if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp_size(content)
    except (struct.error, IndexError):
        pass
    return None


def check_image_size(content: bytes, name: str) -> None:
    """Checks that decoding an image takes a bounded amount of memory.

    Args:
        content: The encoded image.
        name: Name of the file, for the message.

    Raises:
        InputError: The size is missing, zero or too large.
    """
    size = image_size(content)
    if size is None or min(size) < 1:
        raise InputError(f"{name!r} is not a PNG, JPEG, GIF, BMP or WebP image, or it is corrupted. Use another file.")
    height, width = size
    num_pixels = height * width * (_num_gif_frames(content) if content.startswith(_GIFS) else 1)
    if num_pixels > MAX_PIXELS:
        raise InputError(
            f"{name!r} has {num_pixels:,} pixels ({height}x{width} per frame), more than {MAX_PIXELS:,}. Resize it."
        )


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    while True:
        if content[position] != 0xFF:
            return None
        while content[position] == 0xFF:  # markers may be padded
            position += 1
        marker = content[position]
        position += 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 3)
            return height, width
        if marker in _JPEG_STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", content, position)
        if length < 2:
            return None
        position += length


def _bmp_size(content: bytes) -> tuple[int, int] | None:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", content, 18)
    else:
        width, height = struct.unpack_from("<ii", content, 18)
    return abs(height), abs(width)  # a negative height means rows from top to bottom


def _webp_size(content: bytes) -> tuple[int, int] | None:
    chunk = content[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(content[start : start + 3], "little") + 1 for start in (24, 27))
        return (height, width) if len(content) >= 30 else None
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return height & 0x3FFF, width & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return None


def _gif_size(content: bytes) -> tuple[int, int]:
    """Returns the size of the screen, or that of a larger frame."""
    width, height = struct.unpack_from("<HH", content, 6)
    for left, top, frame_width, frame_height in _gif_frames(content):
        height, width = max(height, top + frame_height), max(width, left + frame_width)
    return height, width


def _num_gif_frames(content: bytes) -> int:
    return max(1, len(_gif_frames(content)))


def _gif_frames(content: bytes) -> list[tuple[int, int, int, int]]:
    """Returns (left, top, width, height) of every frame, as far as the file is complete."""
    frames = []
    try:
        position = 13 + _color_table_bytes(content[10])
        while content[position] != 0x3B:  # the trailer
            if content[position] == 0x2C:  # an image
                frames.append(struct.unpack_from("<HHHH", content, position + 1))
                position += 10 + _color_table_bytes(content[position + 9]) + 1
            elif content[position] == 0x21:  # an extension
                position += 2
            else:
                break
            while content[position]:  # blocks of data
                position += content[position] + 1
            position += 1
    except (struct.error, IndexError):
        pass
    return frames


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
