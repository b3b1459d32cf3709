"""Convolutions and max-pools whose gradients are fast on JAX and a CPU.

XLA's own gradients there are loops over windows, which take several times as long (benchmarks/step_parts.py).
"""

from typing import Any

import keras

from keras_cct.layers.shapes import Tensor, ops

POOL_SIZE = 3


class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` without bias, for images of shape (batch, height, width, channels).

    Files of weights contain the name of the class, so it is that of Keras.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, use_bias=False, data_format="channels_last", **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Any:
        if not training or not _runs_on_jax_and_cpu():
            return super().call(inputs)
        from keras_cct.layers import jax_convolution

        stride, _ = self.strides
        return jax_convolution.convolve(inputs, ops.convert_to_tensor(self.kernel), stride, self.padding.upper())


def max_pool(x: Tensor, training: bool | None = None) -> Tensor:
    """Max-pools 3x3 windows at stride 2 with padding 1, omitting the padding that no window reaches.

    The padding is zero: a ReLU must follow.

    Args:
        x: Float tensor of shape (batch, height, width, channels).
        training: Whether the gradient will be needed.

    Returns:
        Float tensor of shape (batch, (height + 1) // 2, (width + 1) // 2, channels).
    """
    height, width = x.shape[1:3]
    x = ops.pad(x, ((0, 0), (1, height % 2), (1, width % 2), (0, 0)))
    if not training or not _runs_on_jax_and_cpu():
        return ops.max_pool(x, POOL_SIZE, strides=2, padding="valid", data_format="channels_last")
    rows, columns = height - 1 + height % 2, width - 1 + width % 2  # from the first to the last window
    largest: Any = None
    for row in range(POOL_SIZE):
        for column in range(POOL_SIZE):
            values = x[:, row : row + rows : 2, column : column + columns : 2]
            # Of equal values the first gets the gradient, as in `ops.max_pool`.
            largest = values if largest is None else ops.where(largest >= values, largest, values)
    return largest


def _runs_on_jax_and_cpu() -> bool:
    if keras.backend.backend() != "jax":
        return False
    import jax  # pyright: ignore[reportMissingImports] - optional

    return jax.default_backend() == "cpu"
