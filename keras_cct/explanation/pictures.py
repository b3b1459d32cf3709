"""Pictures of explanations: maps over images, and grids of the heads of all blocks."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import keras
import numpy as np
from PIL import Image

from keras_cct.errors import InputError, check_choice, check_setting, is_number
from keras_cct.explanation.maps import Explanation, explain

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
DEFAULT_COLOR_MAP = "viridis"

_GAP = 4
"""White pixels between the heads of a grid."""
_WHITE = 255


class OverlayStyle(TypedDict, total=False):
    """Arguments of `overlay` beyond the image and the map."""

    interpolation: str
    color_map: str
    alpha: float


def overlay(
    image: np.ndarray,
    values: np.ndarray,
    *,
    interpolation: str = "bilinear",
    color_map: str = DEFAULT_COLOR_MAP,
    alpha: float = 0.5,
) -> np.ndarray:
    """Draws a map over an image. The smallest and largest value get the ends of the color map.

    Args:
        image: Array of shape (height, width, channels) with 1 or 3 channels, pixels in [0, 255].
        values: Array of shape (rows, columns), for example one pooling map; it is resized to the image.
        interpolation: Interpolation of the map, "nearest", "bilinear" or "bicubic".
        color_map: Name of a Matplotlib color map.
        alpha: Opacity of the map, from 0 (only the image) to 1 (only the map).

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        InputError: An array has the wrong shape or contains NaN or infinity, or an argument is unknown or out of range.
    """
    pixels = _finite_array("image", image, "(height, width, 1 or 3)", 3)
    if pixels.shape[-1] not in (1, 3):
        raise InputError(f"image must have shape (height, width, 1 or 3), got {pixels.shape}.")
    values = _finite_array("values", values, "(rows, columns)", 2)
    check_choice("interpolation", interpolation, tuple(INTERPOLATIONS))
    check_setting("alpha", alpha, is_number(alpha) and 0 <= alpha <= 1, "a number in [0, 1]")
    height, width, _ = pixels.shape
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    resized = np.asarray(Image.fromarray(scaled).resize((width, height), INTERPOLATIONS[interpolation]))
    colors = 255 * find_color_map(color_map)(resized)[..., :3]  # (height, width, 3)
    return np.clip(np.round(alpha * colors + (1 - alpha) * pixels), 0, 255).astype("uint8")


def head_grid(
    image: np.ndarray,
    explanation: Explanation,
    index: int = 0,
    manifold: str | None = None,
    **style: Unpack[OverlayStyle],
) -> np.ndarray:
    """Draws the attention that each head of each block pays to the patches.

    Args:
        image: Array of shape (height, width, channels) with 1 or 3 channels, pixels in [0, 255].
        explanation: The explanation of a batch.
        index: Index of the image in the batch.
        manifold: Name of a manifold to draw its similarity maps instead of the attention weights.
        **style: Arguments of `overlay`.

    Returns:
        uint8 array of shape (height, width, 3): one row of overlays per block from top to bottom, one column per head.

    Raises:
        InputError: The attention does not compare tokens on this manifold, or an argument of `overlay` is invalid.
    """
    all_maps = explanation.head_maps(manifold)  # (batch, blocks, heads, rows, columns)
    is_index = isinstance(index, int) and 0 <= index < len(all_maps)
    check_setting("index", index, is_index, f"an index of the {len(all_maps)} explained images")
    maps = all_maps[index]  # (blocks, heads, rows, columns)
    rows = [[overlay(image, head, **style) for head in block] for block in maps]
    height, width, _ = image.shape
    num_blocks, num_heads = maps.shape[:2]
    shape = (num_blocks * (height + _GAP) - _GAP, num_heads * (width + _GAP) - _GAP, 3)
    grid = np.full(shape, _WHITE, "uint8")
    for block, row in enumerate(rows):
        for head, picture in enumerate(row):
            top, left = block * (height + _GAP), head * (width + _GAP)
            grid[top : top + height, left : left + width] = picture
    return grid


def write_explanations(
    model: keras.Model,
    images: Sequence[np.ndarray],
    pictures: Mapping[str, np.ndarray],
    folder: Path,
    **style: Unpack[OverlayStyle],
) -> None:
    """Explains images and writes one folder per image: `pooling.png`, `rollout.png` and the heads of all blocks.

    The heads are in `heads.png`; for models that combine manifolds, the similarity maps are in `heads-MANIFOLD.png`.

    Args:
        model: The model.
        images: Arrays of the model's input shape, pixels in [0, 255].
        pictures: What the maps are drawn over, by the name of the image's folder: arrays of shape (height, width,
            channels) of the same images, of any size.
        folder: Folder to create.
        **style: Arguments of `overlay`.

    Raises:
        InputError: The model cannot be explained, or an argument of `overlay` is invalid.
    """
    for pixels, (name, picture) in zip(images, pictures.items(), strict=True):
        explanation = explain(model, pixels[np.newaxis])
        (folder / name).mkdir(parents=True)
        drawn = {
            "pooling": overlay(picture, explanation.pooling[0], **style),
            "rollout": overlay(picture, explanation.rollout[0], **style),
            "heads": head_grid(picture, explanation, **style),
        }
        for manifold in explanation.manifolds[0]:
            drawn[f"heads-{manifold}"] = head_grid(picture, explanation, manifold=manifold, **style)
        for title, drawing in drawn.items():
            Image.fromarray(drawing).save(folder / name / f"{title}.png")


def _finite_array(name: str, value: object, shape: str, num_dimensions: int) -> np.ndarray:
    """Returns a float32 array of a number of dimensions, none of them empty.

    Raises:
        InputError: The value is something else, or contains NaN or infinity.
    """
    try:
        array = np.asarray(value, "float32")
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of shape {shape}, got {type(value).__name__}.") from error
    if array.ndim != num_dimensions or not array.size:
        raise InputError(f"{name} must have shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name} contains NaN or infinity. Pass finite numbers.")
    return array


def find_color_map(name: str) -> "Colormap":
    """Returns a color map of Matplotlib by its name.

    Raises:
        InputError: The name is unknown.
    """
    from matplotlib import colormaps

    if not isinstance(name, str) or name not in colormaps:
        matches = difflib.get_close_matches(str(name), list(colormaps), n=1)
        hint = f"Did you mean {matches[0]!r}?" if matches else "Use a name of Matplotlib's, such as 'viridis'."
        raise InputError(f"color_map={name!r} is unknown. {hint}")
    return colormaps[name]
