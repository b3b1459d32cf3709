"""Images with their labels, in memory."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """One split of a data set.

    Args:
        images: uint8 array of shape (images, height, width, channels).
        labels: Integer array of shape (images,), indices into `class_names`.
        class_names: Names of the classes.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.images.shape[1:]
