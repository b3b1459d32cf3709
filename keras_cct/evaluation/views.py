"""Test-time augmentation: views of an image whose probabilities are averaged."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_cct.errors import InputError

if TYPE_CHECKING:
    import numpy as np

TTA = ("hflip", "five-crop")
"""Kinds of test-time augmentation."""

FIVE_CROP_PCT = 0.875
"""Largest default `crop_pct` of `--tta five-crop`: the side of a crop as a fraction of the resized image's side."""


def loaded_sides(tta: str | None, sides: tuple[int, int], crop_pct: float) -> tuple[tuple[int, int], float]:
    """Returns the height and width to which images are loaded, and the `crop_pct` with which they are loaded.

    Args:
        tta: Kind of test-time augmentation, or None.
        sides: Height and width of the model's input.
        crop_pct: Fraction of the resized image's short side in a crop. With five-crop the whole resized image is
            loaded, so that the crops can be cut from its corners.

    Raises:
        InputError: The crops of five-crop would all be the same.
    """
    if tta != "five-crop":
        return sides, crop_pct
    height, width = (int(side / crop_pct) for side in sides)
    if (height, width) == sides:
        raise InputError(
            f"five-crop with crop_pct={crop_pct:g} gives five identical crops of {sides[0]}x{sides[1]} pixels. "
            f"Use a smaller crop_pct, such as {FIVE_CROP_PCT}."
        )
    return (height, width), 1.0


def view_functions(
    tta: str | None, loaded: tuple[int, int], sides: tuple[int, int]
) -> "list[Callable[[np.ndarray], np.ndarray]]":
    """Returns functions from loaded images to views; the first view is the one that is shown to people.

    Args:
        tta: "hflip" for the image and its mirror image, "five-crop" for the center and the four corners, or None.
        loaded: Height and width of the loaded images.
        sides: Height and width of the model's input.

    Returns:
        Functions between arrays of shape (batch, height, width, channels).
    """
    if tta is None:
        return [lambda images: images]
    if tta == "hflip":
        return [lambda images: images, lambda images: images[:, :, ::-1]]
    (height, width), (bottom, right) = sides, (loaded[0] - sides[0], loaded[1] - sides[1])
    offsets = [(bottom // 2, right // 2), (0, 0), (0, right), (bottom, 0), (bottom, right)]
    return [
        lambda images, top=top, left=left: images[:, top : top + height, left : left + width] for top, left in offsets
    ]
