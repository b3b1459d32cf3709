"""Normalization of pixels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_cct.errors import InputError, check_normalization
from keras_cct.layers.shapes import Shape, Tensor, check_image_shape, ensure_image_shape, ops


@keras.saving.register_keras_serializable("keras_cct")
class PixelNormalization(keras.layers.Layer):
    """Subtracts the mean of the pixels and divides by their standard deviation.

    Computes what `keras.layers.Normalization` does, but also exports to ONNX: mean and standard deviation are constants
    of the graph. The layer accepts only images of the size that it was built for.

    Args:
        mean: Mean of pixels scaled to [0, 1], a number or one number per channel.
        std: Standard deviation of pixels scaled to [0, 1], above 0, a number or one number per channel.

    Call arguments:
        images: Tensor of shape (batch, height, width, channels), pixels in [0, 255], any dtype.

    Returns:
        Float tensor of the same shape.

    Raises:
        InputError: A value is out of range, or the numbers do not match the channels.
    """

    def __init__(self, mean: float | Sequence[float] = 0.5, std: float | Sequence[float] = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = check_normalization(mean, std)

    def build(self, input_shape: Shape) -> None:
        self.image_shape = check_image_shape(input_shape)
        channels = self.image_shape[-1]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise InputError(f"{name} has {len(values)} numbers for {channels} channels. Pass 1 or {channels}.")

    def call(self, images: Tensor) -> Tensor:
        images = ensure_image_shape(images, self.image_shape)
        # Rounds to float32 where `keras.layers.Normalization` does, which models saved by version 0.1.0 contain.
        mean = np.array([255.0 * value for value in self.mean], "float32")
        variance = np.array([(255.0 * value) ** 2 for value in self.std], "float32")
        std = ops.sqrt(ops.cast(variance, self.compute_dtype))
        return (ops.cast(images, self.compute_dtype) - ops.cast(mean, self.compute_dtype)) / std

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "mean": self.mean, "std": self.std}
