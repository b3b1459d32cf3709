import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import InputError, PixelNormalization

STATISTICS = [
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    (0.5, 0.5),
    ((0.1,), (0.2, 0.3, 0.4)),
]


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def channels(values: float | tuple[float, ...]) -> list[float]:
    return [*np.broadcast_to(values, 3)]


@pytest.mark.parametrize(("mean", "std"), STATISTICS)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
def test_outputs_are_bit_identical_to_those_of_keras(mean, std, dtype):
    images = pixels(2, 8, 6, 3).astype(dtype)
    reference = keras.layers.Normalization(
        mean=[255.0 * value for value in channels(mean)], variance=[(255.0 * value) ** 2 for value in channels(std)]
    )
    outputs = to_numpy(PixelNormalization(mean, std)(images))
    np.testing.assert_array_equal(outputs, to_numpy(reference(images)), strict=True)


def test_layer_has_no_weights():
    layer = PixelNormalization((0.1, 0.2, 0.3), 0.5)
    layer.build((None, 8, 6, 3))
    assert layer.weights == []


@pytest.mark.parametrize("shape", [(8, 6, 3), (2, 6, 8, 3), (2, 8, 6, 1), (2, 1, 6, 3), (2, 16, 6, 3)])
def test_images_of_another_shape_are_refused(shape):
    layer = PixelNormalization()
    layer(pixels(2, 8, 6, 3))
    with pytest.raises(InputError, match=r"shape \(batch, 8, 6, 3\), got"):
        layer(pixels(*shape))


def test_numbers_must_match_the_channels():
    with pytest.raises(InputError, match="mean has 2 numbers for 3 channels"):
        PixelNormalization((0.1, 0.2), 0.5)(pixels(1, 8, 6, 3))


def test_half_precision_is_kept():
    output = PixelNormalization(dtype="mixed_bfloat16")(pixels(1, 8, 6, 3))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
