"""A convolution for JAX whose kernel gradient is a matrix product."""

import functools

import jax  # pyright: ignore[reportMissingImports] - optional
import jax.numpy as jnp  # pyright: ignore[reportMissingImports] - optional


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(images: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    """Returns the convolution of images of shape (batch, height, width, channels).

    Args:
        images: Float array of shape (batch, height, width, channels).
        kernel: Float array of shape (height, width, channels, filters).
        stride: Stride in both directions.
        padding: "SAME" or "VALID".

    Returns:
        Float array of shape (batch, height, width, filters).
    """
    return _convolve(images, kernel, stride, padding)


def _convolve(images: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    return jax.lax.conv_general_dilated(
        images, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(
    images: jax.Array, kernel: jax.Array, stride: int, padding: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _convolve(images, kernel, stride, padding), (images, kernel)


def _backward(
    stride: int, padding: str, saved: tuple[jax.Array, jax.Array], upstream: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = saved
    _, of_images = jax.vjp(lambda x: _convolve(x, kernel, stride, padding), images)
    windows = _windows(images, kernel.shape[:2], upstream.shape[1:3], stride, padding)
    windows, outputs = (jnp.reshape(x, (-1, x.shape[-1])) for x in (windows, upstream))
    of_kernel = jnp.matmul(windows.T, outputs, preferred_element_type=jnp.float32)
    return *of_images(upstream), jnp.reshape(of_kernel, kernel.shape).astype(kernel.dtype)


def _windows(
    images: jax.Array, kernel_shape: tuple[int, ...], output_shape: tuple[int, ...], stride: int, padding: str
) -> jax.Array:
    """Returns the window of each output, of shape (batch, height, width, kernel height * kernel width * channels)."""
    rows, columns = kernel_shape
    spans = [(size - 1) * stride + 1 for size in output_shape]
    pads = jax.lax.padtype_to_pads(images.shape[1:3], kernel_shape, (stride, stride), padding)
    padded = jnp.pad(images, ((0, 0), *pads, (0, 0)))
    parts = [
        padded[:, row : row + spans[0] : stride, column : column + spans[1] : stride]
        for row in range(rows)
        for column in range(columns)
    ]
    return jnp.concatenate(parts, axis=-1)


convolve.defvjp(_forward, _backward)  # pyright: ignore[reportFunctionMemberAccess] - without JAX
