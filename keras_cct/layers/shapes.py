"""Shapes of tensors: reshapes that keep the batch dimension, and checks of the inputs of layers."""

import math
from typing import Any

import keras

from keras_cct.errors import InputError

MAX_WEIGHT_SIZE = 2**29
"""Largest number of values of one weight: 2 GiB in float32, about the size of a whole ViT-Huge."""

ops: Any = keras.ops
random: Any = keras.random
"""Keras's operations, untyped, because type checkers infer from their code that they may return None."""

Tensor = keras.KerasTensor
"""Any backend's tensor. Its operators have the same problem, hence some variables of type Any."""
Shape = tuple[int | None, ...]


def reshape_samples(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reshapes each sample of a batch and keeps the batch size.

    With -1 for the batch size, a wrong size would pass unnoticed: the surplus values would become additional samples.

    Args:
        x: Tensor of shape (batch, ...).
        shape: New shape of a sample, without the batch dimension.

    Returns:
        Tensor of shape (batch, *shape).
    """
    return ops.reshape(x, (ops.shape(x)[0], *shape))


def transposed(x: Tensor) -> Tensor:
    """Returns the transposes of matrices of shape (..., rows, columns)."""
    return ops.swapaxes(x, -1, -2)


def check_token_shape(shape: Shape) -> int:
    """Returns `dim` of a shape (batch, tokens, dim).

    Raises:
        InputError: The shape has the wrong number of dimensions, or `dim` is unknown.
    """
    *_, dim = shape if _is_shape(shape, 3) else (None,)
    if dim is None:
        raise InputError(f"tokens must have shape (batch, tokens, dim) with a known dim, got {shape!r}.")
    return dim


def check_num_tokens(shape: Shape) -> int:
    """Returns the number of tokens of a shape (batch, tokens, dim).

    Raises:
        InputError: The number is unknown.
    """
    num_tokens = shape[1]
    if num_tokens is None:
        raise InputError(f"the layer needs a known number of tokens, got shape {tuple(shape)}.")
    return num_tokens


def check_image_shape(shape: Shape) -> tuple[int, int, int]:
    """Returns (height, width, channels) of a shape (batch, height, width, channels).

    Raises:
        InputError: The shape has the wrong number of dimensions, or a size is unknown.
    """
    _, height, width, channels = shape if _is_shape(shape, 4) else (None, None, None, None)
    if height is None or width is None or channels is None:
        raise InputError(
            f"images must have shape (batch, height, width, channels) with fixed sizes, got {shape!r}. "
            f"Add a batch dimension to a single image: images[None]."
        )
    return height, width, channels


def check_weight_size(name: str, shape: tuple[int, ...]) -> None:
    """Raises InputError if a weight would have more than `MAX_WEIGHT_SIZE` values, before memory is allocated."""
    size = math.prod(shape)
    if size > MAX_WEIGHT_SIZE:
        raise InputError(
            f"the {name} of shape {shape} would have {size:,} values, more than {MAX_WEIGHT_SIZE:,}. Use smaller "
            f"dimensions or images."
        )


def _is_shape(shape: object, rank: int) -> bool:
    return (
        isinstance(shape, tuple | list)
        and len(shape) == rank
        and all(size is None or (isinstance(size, int) and size > 0) for size in shape[1:])
    )


def ensure_image_shape(images: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """Checks the shape of images, also inside compiled and exported TensorFlow functions, and returns the images.

    The signatures of a SavedModel accept any shape, so the operations themselves must reject a wrong one. JAX and
    PyTorch know every shape when a function is called.

    Args:
        images: Tensor of shape (batch, height, width, channels).
        image_shape: The (height, width, channels) that the layer was built for.

    Raises:
        InputError: The shape differs where it is known. Otherwise TensorFlow raises `InvalidArgumentError` at run time.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or any(size not in (None, built) for size, built in zip(shape[1:], image_shape, strict=True)):
        height, width, channels = image_shape
        raise InputError(
            f"images must have shape (batch, {height}, {width}, {channels}), got {shape}. "
            f"Resize them, or add a batch dimension to a single image: images[None]."
        )
    if keras.backend.backend() != "tensorflow":
        return images
    import tensorflow as tf

    return tf.ensure_shape(images, (None, *image_shape))
