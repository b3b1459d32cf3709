"""Layers that turn images into tokens, in row-major order."""

import math
from typing import Any

import keras

from keras_cct.errors import InputError, check_count
from keras_cct.layers.convolution import Conv2D, max_pool
from keras_cct.layers.initializers import kaiming_normal
from keras_cct.layers.shapes import (
    Shape,
    Tensor,
    check_image_shape,
    check_weight_size,
    ensure_image_shape,
    ops,
    reshape_samples,
)

MAX_CONV_LAYERS = 32
"""Each halves height and width, so that this many reduce any image to one token."""


@keras.saving.register_keras_serializable("keras_cct")
class ConvTokenizer(keras.layers.Layer):
    """Turns images into overlapping tokens with a short stack of convolutions and max-pools.

    Each stage is a convolution (stride `max(1, kernel_size // 2 - 1)`, zero padding `max(1, kernel_size // 2)`, no
    bias), ReLU, and a 3x3 max-pool of stride 2 and padding 1, so that each stage at least halves height and width. The
    layer accepts only images of the size that it was built for.

    Args:
        dim: Embedding dimension of the tokens.
        kernel_size: Height and width of the convolution kernels, in pixels.
        num_conv_layers: Number of stages.
        hidden_dim: Channels of all stages except the last.

    Call arguments:
        images: Float tensor of shape (batch, height, width, channels).

    Returns:
        Float tensor of shape (batch, tokens, dim).

    Raises:
        InputError: A value is out of range, or the size of the images is unknown or differs from that in `build`.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.3.
    """

    def __init__(
        self, dim: int, kernel_size: int = 3, num_conv_layers: int = 1, hidden_dim: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim = check_count("dim", dim)
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.num_conv_layers = check_count("num_conv_layers", num_conv_layers, MAX_CONV_LAYERS)
        self.hidden_dim = check_count("hidden_dim", hidden_dim)
        self.stride = max(1, kernel_size // 2 - 1)
        self.padding = max(1, kernel_size // 2)

    def build(self, input_shape: Shape) -> None:
        self.image_shape = check_image_shape(input_shape)
        self.token_grid(input_shape)
        self.convolutions = []
        for stage in range(self.num_conv_layers):
            in_channels = self.image_shape[-1] if stage == 0 else self.hidden_dim
            out_channels = self.dim if stage == self.num_conv_layers - 1 else self.hidden_dim
            check_weight_size("convolution kernel", (self.kernel_size, self.kernel_size, in_channels, out_channels))
            convolution = Conv2D(
                out_channels,
                self.kernel_size,
                strides=self.stride,
                padding="same" if self._same_padding_is_exact else "valid",
                kernel_initializer=kaiming_normal(),
                dtype=self.dtype_policy,
                name=f"convolution_{stage}",
            )
            convolution.build((None, None, None, in_channels))
            self.convolutions.append(convolution)

    @property
    def _same_padding_is_exact(self) -> bool:
        """Whether "same" pads `padding` zeros on each side. It saves the copy that explicit padding makes."""
        return self.stride == 1 and self.kernel_size == 2 * self.padding + 1

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        x = ensure_image_shape(images, self.image_shape)
        for convolution in self.convolutions:
            if not self._same_padding_is_exact:
                x = _zero_pad(x, self.padding)
            x = convolution(x, training=training)
            x = max_pool(x, training)
            # ReLU commutes with the maximum, and after the pool it has a quarter of the work. It also makes the zero
            # padding of the pool equivalent to PyTorch's padding with minus infinity.
            x = ops.relu(x)
        height, width = x.shape[1:3]
        return reshape_samples(x, (height * width, self.dim))  # (batch, tokens, dim)

    def token_grid(self, image_shape: Shape) -> tuple[int, int]:
        """Returns the (rows, columns) of tokens for images of shape (batch, height, width, channels)."""
        return self.stage_sizes(image_shape)[-1][1]

    def stage_sizes(self, image_shape: Shape) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Returns the (rows, columns) after the convolution and after the max-pool of each stage.

        Args:
            image_shape: Shape (batch, height, width, channels) of the images.
        """
        rows, columns, _ = check_image_shape(image_shape)
        sizes = []
        for _ in range(self.num_conv_layers):
            rows, columns = ((n + 2 * self.padding - self.kernel_size) // self.stride + 1 for n in (rows, columns))
            convolved = rows, columns
            rows, columns = _pooled_size(rows), _pooled_size(columns)
            sizes.append((convolved, (rows, columns)))
        return sizes

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], math.prod(self.token_grid(input_shape)), self.dim)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "dim": self.dim,
            "kernel_size": self.kernel_size,
            "num_conv_layers": self.num_conv_layers,
            "hidden_dim": self.hidden_dim,
        }


@keras.saving.register_keras_serializable("keras_cct")
class PatchTokenizer(keras.layers.Layer):
    """Splits images into square patches and projects each to a token.

    The layer accepts only images of the size that it was built for.

    Args:
        dim: Embedding dimension of the tokens.
        patch_size: Height and width of a patch, in pixels; must divide the image height and width.

    Call arguments:
        images: Float tensor of shape (batch, height, width, channels).

    Returns:
        Float tensor of shape (batch, tokens, dim).

    Raises:
        InputError: A value is out of range, `patch_size` does not divide height and width, or the size of the
            images is unknown or differs from that in `build`.

    Reference: Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1.
    """

    def __init__(self, dim: int, patch_size: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = check_count("dim", dim)
        self.patch_size = check_count("patch_size", patch_size)

    def build(self, input_shape: Shape) -> None:
        self.image_shape = check_image_shape(input_shape)
        self.token_grid(input_shape)
        check_weight_size("patch kernel", (self.patch_size, self.patch_size, self.image_shape[-1], self.dim))
        bias_limit = 1 / math.sqrt(self.patch_size**2 * self.image_shape[-1])
        bias_initializer = keras.initializers.RandomUniform(-bias_limit, bias_limit)
        self.projection = keras.layers.Conv2D(
            self.dim,
            self.patch_size,
            strides=self.patch_size,
            padding="valid",
            kernel_initializer=kaiming_normal(),  # pyright: ignore[reportArgumentType] - see CompositeLayer
            bias_initializer=bias_initializer,  # pyright: ignore[reportArgumentType] - see CompositeLayer
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(input_shape)

    def call(self, images: Tensor) -> Tensor:
        images = ensure_image_shape(images, self.image_shape)
        x = self.projection(images)  # (batch, rows, columns, dim)
        rows, columns = x.shape[1:3]
        return reshape_samples(x, (rows * columns, self.dim))  # (batch, tokens, dim)

    def token_grid(self, image_shape: Shape) -> tuple[int, int]:
        """Returns the (rows, columns) of tokens for images of shape (batch, height, width, channels)."""
        height, width, _ = check_image_shape(image_shape)
        if height % self.patch_size or width % self.patch_size:
            divisors = [n for n in range(1, min(height, width) + 1) if height % n == 0 and width % n == 0]
            raise InputError(
                f"patch_size={self.patch_size} does not divide an image of {height}x{width} pixels. "
                f"Choose one of {divisors}."
            )
        return height // self.patch_size, width // self.patch_size

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], math.prod(self.token_grid(input_shape)), self.dim)

    def get_config(self) -> dict:
        return {**super().get_config(), "dim": self.dim, "patch_size": self.patch_size}


def _pooled_size(size: int) -> int:
    return (size - 1) // 2 + 1


def _zero_pad(x: Tensor, size: int) -> Tensor:
    return ops.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))
