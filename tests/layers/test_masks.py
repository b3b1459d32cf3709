import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct.layers.masks import dropout_key, keep_mask

pytestmark = pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch keeps its own dropout")

NUM_VALUES = 2**21


def mask(rate: float, key: tuple[int, int], shape: tuple[int, ...] = (NUM_VALUES,)) -> np.ndarray:
    return to_numpy(keep_mask(shape, rate, keras.ops.convert_to_tensor(key, dtype="uint32")))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("key", [(0, 0), (1, 0), (0, 1), (1337, 2**32 - 1)])
def test_the_rate_and_its_spread_are_those_of_independent_decisions(rate, key):
    dropped = ~mask(rate, key)
    tolerance = 5 * np.sqrt(rate * (1 - rate))  # standard deviations
    assert abs(dropped.mean() - rate) < tolerance / np.sqrt(NUM_VALUES)
    counts = dropped.reshape(-1, 256).sum(axis=1)  # binomial: rows of attention weights
    variance = 256 * rate * (1 - rate)
    assert counts.var() == pytest.approx(variance, rel=0.05)


def test_the_mean_of_many_masks_is_the_rate_to_1e_4():
    mean = np.mean([(~mask(0.1, (7, step))).mean() for step in range(32)])
    assert abs(mean - 0.1) < 1e-4  # 2.7 standard deviations


@pytest.mark.parametrize("lag", [1, 2, 3, 8, 64, 256, 65536])
def test_decisions_of_a_mask_are_not_correlated(lag):
    dropped = (~mask(0.3, (5, 6))).astype(float)
    correlation = np.corrcoef(dropped[:-lag], dropped[lag:])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(NUM_VALUES)


@pytest.mark.parametrize("other", [(5, 7), (6, 6), (6, 5), (2**31, 6)])
def test_masks_of_other_keys_are_not_correlated(other):
    masks = [(~mask(0.3, key)).astype(float) for key in ((5, 6), other)]
    for lag in (0, 1, 256):
        correlation = np.corrcoef(masks[0][: NUM_VALUES - lag], masks[1][lag:])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(NUM_VALUES)


def test_a_key_gives_the_same_mask_again_in_any_shape():
    np.testing.assert_array_equal(mask(0.5, (1, 2), (64, 32)), mask(0.5, (1, 2), (2048,)).reshape(64, 32))


def test_each_draw_of_a_generator_is_another_key():
    generator = keras.random.SeedGenerator(3)
    first, second = (to_numpy(dropout_key(generator)) for _ in range(2))
    assert first.dtype == np.uint32
    assert first.shape == (2,)
    assert (first != second).any()
