"""Resizing with NumPy to the same pixels as with TensorFlow, so that a model predicts the same in every runtime.

Training and the SavedModel resize with TensorFlow's ScaleAndTranslate. Its results are rounded to whole pixels, so a
different order of the same additions would change a pixel here and there by 1, and the probabilities in the fourth
digit. Therefore weights and sums are computed in float32 and in the order of that operation: rows, then columns, each
from its first pixel to its last.
"""

import numpy as np

RADIUS = 2.0
"""Half the width of the bicubic kernel, in output pixels if the image becomes smaller."""


def resize_and_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes an image, antialiased and bicubic, until it just covers a size, and crops the center.

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
    by_rows = _weighted_sums(pixels.reshape(rows, -1), new_rows, height)  # (height, columns * channels)
    columns_first = by_rows.reshape(height, columns, channels).transpose(1, 0, 2).reshape(columns, -1)
    resized = _weighted_sums(columns_first, new_columns, width)  # (width, height * channels)
    resized = resized.reshape(width, height, channels).transpose(1, 0, 2)
    return np.clip(np.round(resized), 0, 255).astype("uint8")


def _weighted_sums(lines: np.ndarray, resized_size: int, cropped_size: int) -> np.ndarray:
    """Resizes the first axis of an array and crops its center.

    Args:
        lines: Array of shape (size, values).
        resized_size: Size of the first axis before the crop.
        cropped_size: Size of the first axis after the crop.

    Returns:
        Float32 array of shape (cropped_size, values).
    """
    starts, weights = _resampling_weights(len(lines), resized_size, cropped_size)
    sums = np.zeros((cropped_size, lines.shape[1]), "float32")
    for tap in range(weights.shape[1]):
        # Lines beyond the last have weight 0.
        sums += weights[:, tap, None] * lines[np.minimum(starts + tap, len(lines) - 1)]
    return sums


def _resampling_weights(size: int, resized_size: int, cropped_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first input line of each output line, (cropped_size,), and the weights, (cropped_size, taps)."""
    single = np.float32
    scale = single(resized_size / size)
    inverse = single(1.0 / np.float64(scale))
    shift = inverse * single(np.round((resized_size - cropped_size) / 2))
    stretch = max(inverse, single(1))  # antialiasing: a smaller image averages more pixels
    reach = single(RADIUS) * stretch
    centers = (np.arange(cropped_size, dtype="float32") + single(0.5)) * inverse + shift  # in input lines
    last = size - 1
    starts = np.clip(np.ceil(centers - reach - single(0.5)), 0, last).astype("int64")
    ends = np.clip(np.floor(centers + reach - single(0.5)), 0, last).astype("int64")
    taps = np.arange(int((ends - starts).max()) + 1)
    positions = starts[:, None] + taps  # (cropped_size, taps)
    distances = np.abs((positions.astype("float32") + single(0.5) - centers[:, None]) * (single(1) / stretch))
    weights = np.where(positions <= ends[:, None], _keys_cubic(distances), single(0))
    # `cumsum` adds one after the other, unlike `sum`.
    return starts, weights * (single(1) / weights.cumsum(axis=1, dtype="float32")[:, -1:])


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """The bicubic kernel of Pillow and TensorFlow: the Keys kernel with a = -0.5, float32."""
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    near = ((one + half) * x - (two + half)) * x * x + one
    far = ((-half * x + (two + half)) * x - two * two) * x + two
    return np.where(x < one, near, np.where(x < two, far, np.float32(0)))
