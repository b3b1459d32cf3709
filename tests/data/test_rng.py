import statistics

import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import MODES, run

from keras_cct.data.rng import SampleKeys, draw_table, normal_draws, threefry, to_integer, to_normal

# Known-answer tests of the Random123 library, threefry2x32 with 20 rounds: counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def table(seed=0, epoch=0, indices=range(20_000), num_draws=6) -> np.ndarray:
    return draw_table(SampleKeys(seed, tf.constant(epoch), tf.constant(list(indices))), 0, num_draws).numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_threefry_matches_the_known_answers(counter, key, answer, mode):
    words = [np.array(word, dtype="uint32") for word in (*key, *counter)]
    found = run(mode, lambda a, b, c, d: threefry((a, b), (c, d)), *words)
    assert tuple(int(word) for word in found) == answer


def test_draws_are_uniform():
    draws = table()
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.T:
        # Kolmogorov-Smirnov; the statistic exceeds 1.95 / sqrt(n) once in a thousand times.
        sorted_draws = np.sort(column)
        assert np.abs(sorted_draws - np.arange(20_000) / 20_000).max() < 1.95 / np.sqrt(20_000)


def test_draws_are_independent():
    columns = [*table().T, *table(epoch=1).T, *table(seed=1).T]
    columns.append(np.roll(columns[0], 1))
    correlations = np.corrcoef(np.stack(columns)) - np.eye(19)
    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)  # five standard deviations


def test_draws_do_not_depend_on_the_batch():
    np.testing.assert_array_equal(table(indices=[7, 3, 90]), table(indices=[3, 90, 7, 1])[[2, 0, 1]])
    np.testing.assert_array_equal(table(num_draws=3), table(num_draws=6)[:, :3])


def test_normal_draws_are_standard_normal_and_finite():
    draws = to_normal(table().reshape(-1)).numpy()
    assert abs(draws.mean()) < 0.015  # five standard deviations of 120,000 draws
    assert abs(draws.std() - 1) < 0.011
    assert np.isfinite(to_normal(tf.constant([0.0, 1 - 2.0**-24])).numpy()).all()


def test_fast_normal_draws_are_standard_normal_and_independent():
    draws = normal_draws(SampleKeys(0, tf.constant(0), tf.range(20_000)), tf.range(2)).numpy()
    assert draws.shape == (20_000, 8)
    assert np.abs(np.corrcoef(draws.T) - np.eye(8)).max() < 5 / np.sqrt(20_000)  # five standard deviations
    for column in draws.T:
        # Kolmogorov-Smirnov; the statistic exceeds 1.95 / sqrt(n) once in a thousand times.
        shares = np.array([statistics.NormalDist().cdf(draw) for draw in np.sort(column)])
        assert np.abs(shares - np.arange(20_000) / 20_000).max() < 1.95 / np.sqrt(20_000)


def test_integers_are_uniform():
    found = np.bincount(to_integer(tf.constant(table()[:, 0]), 15), minlength=15)
    assert len(found) == 15
    assert np.abs(found / 20_000 - 1 / 15).max() < 5 * np.sqrt(14 / 225 / 20_000)
    assert to_integer(tf.constant([1 - 2.0**-24]), 2**24).numpy() == 2**24 - 1
