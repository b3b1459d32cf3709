import math

import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct.layers.initializers import kaiming_normal, normal, sine, sine_embedding


def test_sine_embedding_follows_its_formula():
    table = sine_embedding(num_tokens=50, dim=6)
    for position, column in [(0, 0), (0, 1), (7, 2), (49, 3), (49, 5)]:
        angle = position / 10000 ** (2 * (column // 2) / 6)
        expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
        assert table[0, position, column] == pytest.approx(expected, abs=1e-7)


def test_sine_initializes_with_the_sine_embedding():
    np.testing.assert_array_equal(to_numpy(sine((1, 5, 6), dtype="float32")), sine_embedding(5, 6))


def test_normal_distributions_are_not_truncated_at_two_standard_deviations():
    for initializer, stddev in ((normal(0.02), 0.02), (kaiming_normal(), (2 / 400) ** 0.5)):
        values = to_numpy(initializer((400, 400)))
        assert np.std(values) == pytest.approx(stddev, rel=0.02)
        assert np.abs(values).max() > 3 * stddev
