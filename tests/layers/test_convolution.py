import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.gradients import gradient_of
from keras import ops

from keras_cct.layers import ConvTokenizer
from keras_cct.layers.convolution import max_pool


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    ("kernel_size", "num_conv_layers", "size"),
    [
        (3, 2, (13, 17)),
        pytest.param(7, 1, (13, 17), marks=pytest.mark.one_backend),
        (7, 1, (16, 12)),
        pytest.param(2, 1, (16, 12), marks=pytest.mark.one_backend),
    ],
)
def test_training_computes_what_inference_does(kernel_size, num_conv_layers, size):
    tokenizer = ConvTokenizer(6, kernel_size, num_conv_layers, hidden_dim=5)
    images = random(2, *size, 3)
    tokenizer.build(images.shape)
    values, gradients = [], []
    for training in (True, False):
        values.append(to_numpy(tokenizer(images, training=training)))
        weights = random(*values[0].shape)
        gradients.append(
            gradient_of(lambda x, t=training, w=weights: ops.multiply(tokenizer(x, training=t), w), images)
        )
    np.testing.assert_allclose(*values, atol=1e-6)
    np.testing.assert_allclose(*gradients, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX has another gradient")
@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (1, "VALID"), (2, "VALID")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_a_kernel_is_that_of_jax(stride, padding, dtype):
    import jax

    from keras_cct.layers.jax_convolution import _convolve, convolve

    images, kernel = (jax.numpy.asarray(x, dtype) for x in (random(2, 11, 9, 3), random(3, 3, 3, 4)))
    weights = random(*_convolve(images, kernel, stride, padding).shape)
    ours, expected = (
        jax.grad(lambda k, f=f: (f(images, k, stride, padding) * weights).sum())(kernel) for f in (convolve, _convolve)
    )
    assert ours.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 0.05
    np.testing.assert_allclose(ours.astype("float32"), expected.astype("float32"), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
def test_of_equal_values_the_first_gets_the_gradient_of_the_pool(training):
    x = np.ones((1, 4, 4, 1), "float32")
    weights = np.array([[1, 2], [3, 4]], "float32")[None, :, :, None]
    gradient = gradient_of(lambda v: ops.multiply(max_pool(v, training), weights), x)
    expected = np.zeros((4, 4))
    expected[0, 0], expected[0, 1], expected[1, 0], expected[1, 1] = 1, 2, 3, 4
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (5, 8), (1, 1), (1, 2)])
def test_max_pool(training, size):
    x = random(2, *size, 3)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.array(
        [
            padded[:, row : row + 3, column : column + 3].max(axis=(1, 2))
            for row in range(0, size[0], 2)
            for column in range(0, size[1], 2)
        ]
    )
    pooled = to_numpy(max_pool(ops.convert_to_tensor(x), training))
    np.testing.assert_array_equal(pooled.reshape(2, -1, 3), expected.swapaxes(0, 1))
