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
    """Returns choices, levels or signs of both layers, shape (images, layers)."""
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
def test_policies_are_read(policy, wanted):
    assert parse_policy(policy) == wanted


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("augmix-m3", "unknown augmentation policy 'augmix-m3'. Write one like 'rand-m9-mstd0.5-inc1'."),
        ("rand-m9-w0", "unknown part 'w0' in policy 'rand-m9-w0'. Choose from m (from 0 to 10), mstd"),
        ("rand-m11", "part 'm11' of policy 'rand-m11' is out of range. Allowed: m (from 0 to 10)"),
        ("rand-m", "part 'm' of policy 'rand-m' is out of range."),
        ("rand-n0", "part 'n0' of policy 'rand-n0' is out of range."),
        ("rand-n1.5", "part 'n1.5' of policy 'rand-n1.5' is out of range."),
        ("rand-mstd-0.5", "part 'mstd' of policy 'rand-mstd-0.5' is out of range."),
        ("rand-inc2", "part 'inc2' of policy 'rand-inc2' is out of range."),
    ],
)
def test_other_policies_are_refused(policy, message):
    with pytest.raises(InputError) as error:
        parse_policy(policy)
    assert str(error.value).startswith(message)


def test_operations_per_image_are_those_of_the_reference():
    wanted = GOLDEN["randaugment"]["expected_stats"]
    is_applied = drawn(0) > 0
    # Five standard deviations of 20,000 images everywhere below.
    assert abs(is_applied.sum(axis=1).mean() - wanted["mean_ops_applied_per_image"]) < 5 * np.sqrt(0.5 / COUNT)
    assert abs((~is_applied).all(axis=1).mean() - wanted["P_no_op_applied"]) < 5 * np.sqrt(0.1875 / COUNT)
    for number in range(1, 16):
        share = (drawn(0) == number).any(axis=1).mean()
        assert abs(share - wanted["P_given_op_applied_at_least_once"]) < 5 * np.sqrt(0.0613 / COUNT)


def test_levels_and_signs_are_those_of_the_reference():
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


def test_magnitude_without_deviation_is_the_level():
    policy = parse_policy("rand-m3")
    _, levels, _ = draw_operations(draws(policy, 50)[:, :5], policy)
    np.testing.assert_array_equal(levels, 3)


def test_random_interpolation_is_either_half_the_time():
    draw = draws()[:, 4]
    assert not is_bicubic(draw, "bilinear").numpy().any()
    assert is_bicubic(draw, "bicubic").numpy().all()
    assert abs(is_bicubic(draw, "random").numpy().mean() - 0.5) < 5 * 0.5 / np.sqrt(COUNT)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_augmented_alike_in_every_batch(mode, channels):
    images = np.random.default_rng(0).integers(0, 256, (24, 9, 7, channels), dtype="uint8")
    numbers = draws(count=24).numpy()

    def augment(images, numbers):
        return rand_augment(images, numbers, POLICY, "random", (7,) * channels)

    together = run(mode, augment, images, numbers)
    apart = run(mode, augment, images[5:12], numbers[5:12])
    np.testing.assert_array_equal(together[5:12], apart)
    untouched = (together == images).all(axis=(1, 2, 3))
    assert 0 < untouched.sum() < 20
