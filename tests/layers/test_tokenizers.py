import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import ConvTokenizer, InputError, PatchTokenizer


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def tokens_by_numpy(x: np.ndarray, kernel: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Convolution, ReLU and 3x3 max-pool at stride 2 with padding 1, by loops over windows."""
    size = kernel.shape[0]
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((n - size) // stride + 1 for n in x.shape[:2])
    y = np.zeros((rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            window = x[i * stride : i * stride + size, j * stride : j * stride + size]
            y[i, j] = np.einsum("hwc,hwcd->d", window, kernel)
    y = np.pad(np.maximum(y, 0), ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = ((n - 3) // 2 + 1 for n in y.shape[:2])
    return np.array(
        [y[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(0, 1)) for i in range(rows) for j in range(columns)]
    )


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("size", [(14, 14), (13, 10)])
def test_conv_tokenizer_pads_as_documented_for_every_kernel(kernel_size, size):
    layer = ConvTokenizer(dim=4, kernel_size=kernel_size)
    x = images(2, *size, 3)
    tokens = to_numpy(layer(x))
    kernel = to_numpy(layer.convolutions[0].kernel)
    expected = tokens_by_numpy(x[1], kernel, max(1, kernel_size // 2 - 1), max(1, kernel_size // 2))
    np.testing.assert_allclose(tokens[1], expected, atol=1e-4)
    assert layer.compute_output_shape(x.shape) == tokens.shape


def test_conv_tokenizer_stacks_64_channels():
    layer = ConvTokenizer(dim=8, kernel_size=3, num_conv_layers=3)
    assert layer(images(1, 16, 8, 1)).shape == (1, 2, 8)
    assert [convolution.filters for convolution in layer.convolutions] == [64, 64, 8]


def test_patch_tokenizer_projects_each_patch_row_by_row():
    layer = PatchTokenizer(dim=5, patch_size=4)
    x = images(2, 8, 12, 3)
    tokens = to_numpy(layer(x))
    kernel, bias = map(to_numpy, layer.projection.weights)
    patch = x[0, 4:8, 0:4]  # second row, first column: token 3
    np.testing.assert_allclose(tokens[0, 3], np.einsum("hwc,hwcd->d", patch, kernel) + bias, atol=1e-5)


def test_kernels_start_with_the_variance_of_the_fan_in():
    layer = ConvTokenizer(dim=256, kernel_size=7)
    layer.build((None, 32, 32, 3))
    assert np.std(to_numpy(layer.convolutions[0].kernel)) == pytest.approx((2 / 147) ** 0.5, rel=0.02)


def test_images_of_unknown_size_are_refused():
    with pytest.raises(InputError, match=r"\(batch, height, width, channels\) .* got \(None, None, 8, 3\)"):
        PatchTokenizer(dim=5, patch_size=4)(keras.Input((None, 8, 3)))


@pytest.mark.parametrize("layer", [ConvTokenizer(5), PatchTokenizer(5)])
def test_an_image_without_batch_dimension_is_refused(layer):
    with pytest.raises(InputError, match=r"got \(8, 8, 3\). Add a batch dimension"):
        layer(images(8, 8, 3))


@pytest.mark.parametrize("layer", [ConvTokenizer(5), PatchTokenizer(5)])
@pytest.mark.parametrize("shape", [(2, 16, 8, 3), (2, 8, 8, 1), (2, 8, 4, 3)])
def test_images_of_another_size_are_refused(layer, shape):
    layer(images(2, 8, 8, 3))
    with pytest.raises(InputError, match=r"shape \(batch, 8, 8, 3\), got"):
        layer(images(*shape))
