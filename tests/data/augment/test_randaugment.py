import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, MODES, run

from keras_cct.data.augment.randaugment import RandAugment, draw_operations, is_bicubic, parse_policy, rand_augment
from keras_cct.data.rng import SampleKeys, draw_table
from keras_cct.errors import InputError

POLICY = parse_policy("rand-m9-mstd0.5-inc1")
COUNT = 20_000


def draws(policy: RandAugment = POLICY, count: int = COUNT) -> tf.Tensor:
    return draw_table(SampleKeys(1, tf.constant(2), tf.range(count)), 0, policy.num_draws)


def drawn(column: int) -> np.ndarray:
    """Returns the choices (0), levels (1) or signs (2) of both layers, shape (images, layers)."""
    layers = [draw_operations(layer, POLICY)[column].numpy() for layer in tf.split(draws(), 2, axis=1)]
    return np.stack(layers, axis=1)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("rand-m9-mstd0.5-inc1", RandAugment(9, 0.5, 2, True)),
        ("rand-inc1-n3-m7.5", RandAugment(7.5, 0.0, 3, True)),
        ("rand", RandAugment(10, 0.0, 2, False)),
        ("rand-m0-inc0", RandAugment(0, 0.0, 2, False)),
    ],
)
def test_policies_are_parsed(policy, wanted):
    assert parse_policy(policy) == wanted


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ("augmix-m3", ["unknown", "'augmix-m3'", "rand-m9-mstd0.5-inc1"]),
        ("rand-m9-w0", ["unknown", "'w0'", "'rand-m9-w0'", "m (from 0 to 10), mstd"]),
        ("rand-m11", ["'m11'", "out of range", "m (from 0 to 10)"]),
        ("rand-m", ["'m'", "out of range"]),
        ("rand-n0", ["'n0'", "out of range"]),
        ("rand-n1.5", ["'n1.5'", "out of range"]),
        ("rand-mstd-0.5", ["'mstd'", "out of range"]),
        ("rand-inc2", ["'inc2'", "out of range"]),
    ],
)
def test_rejects_other_policies(policy, parts):
    with pytest.raises(InputError) as error:
        parse_policy(policy)
    assert all(part in str(error.value) for part in parts)


def test_operations_per_image_have_the_statistics_of_timm():
    wanted = GOLDEN["randaugment"]["expected_stats"]
    is_applied = drawn(0) > 0
    # Five standard deviations of 20,000 images everywhere below.
    assert abs(is_applied.sum(axis=1).mean() - wanted["mean_ops_applied_per_image"]) < 5 * np.sqrt(0.5 / COUNT)
    assert abs((~is_applied).all(axis=1).mean() - wanted["P_no_op_applied"]) < 5 * np.sqrt(0.1875 / COUNT)
    for number in range(1, 16):
        share = (drawn(0) == number).any(axis=1).mean()
        assert abs(share - wanted["P_given_op_applied_at_least_once"]) < 5 * np.sqrt(0.0613 / COUNT)


def test_levels_and_signs_have_the_statistics_of_timm():
    wanted = GOLDEN["randaugment"]["expected_stats"]
    levels, signs = drawn(1).reshape(-1), drawn(2).reshape(-1)
    assert abs((levels == 10).mean() - wanted["P_level_clipped_to_10"]) < 5 * np.sqrt(0.0222 / levels.size)
    assert abs((levels < 7.5).mean() - wanted["P_level_below_7.5"]) < 5 * np.sqrt(0.00135 / levels.size)
    assert abs(np.median(levels) - 9) < 5 * 0.627 / np.sqrt(levels.size)
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    assert set(signs) == {-1, 1}
    assert levels.min() >= 0


def test_layers_are_drawn_independently():
    first, second = drawn(0).T
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(COUNT)


def test_level_equals_the_magnitude_without_deviation():
    policy = parse_policy("rand-m3")
    _, levels, _ = draw_operations(draws(policy, 50)[:, :5], policy)
    np.testing.assert_array_equal(levels, 3)


def test_random_interpolation_is_bicubic_half_of_the_time():
    draw = draws()[:, 4]
    assert not is_bicubic(draw, "bilinear").numpy().any()
    assert is_bicubic(draw, "bicubic").numpy().all()
    assert abs(is_bicubic(draw, "random").numpy().mean() - 0.5) < 5 * 0.5 / np.sqrt(COUNT)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_does_not_depend_on_the_batch(mode, channels):
    images = np.random.default_rng(0).integers(0, 256, (24, 9, 7, channels), dtype="uint8")
    numbers = draws(count=24).numpy()

    def augment(images, numbers):
        return rand_augment(images, numbers, POLICY, "random", (7,) * channels)

    together = run(mode, augment, images, numbers)
    apart = run(mode, augment, images[5:12], numbers[5:12])
    np.testing.assert_array_equal(together[5:12], apart)
    untouched = (together == images).all(axis=(1, 2, 3))
    assert 0 < untouched.sum() < 20
