import keras
import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, MODES, run

from keras_cct.data.augment.mixing import (
    MIX_DRAWS,
    Mixing,
    blend,
    blend_pixels,
    check_batch_size,
    cut_boxes,
    draw_ratios,
    drawing_keys,
    mix,
    soft_targets,
    symmetric_beta,
)
from keras_cct.data.rng import SampleKeys, draw_table
from keras_cct.errors import InputError

COUNT = 20_000


def keys(count: int) -> SampleKeys:
    return SampleKeys(4, tf.constant(2), tf.range(count))


def draws(count: int = COUNT) -> tf.Tensor:
    return draw_table(keys(count), 0, MIX_DRAWS)


def mixed(mixing: Mixing, count: int = 8, mode: str = "eagerly", epoch: int = 0):
    """Returns mixed images and targets; image i has the value 20 * (i + 1) and the one-hot target i."""
    images = np.broadcast_to(np.arange(1, count + 1, dtype="uint8")[:, None, None, None] * 20, (count, 16, 16, 3))

    def apply(images, targets, indices):
        sample_keys = drawing_keys(SampleKeys(4, tf.constant(2), indices), mixing.mixup_mode)
        return mix(images, targets, draw_table(sample_keys, 0, MIX_DRAWS), tf.constant(epoch), mixing)

    return run(mode, apply, images, np.eye(count, dtype="float32"), np.arange(count))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "case", GOLDEN["mixup_targets"]["cases"], ids=lambda case: f"{case['num_classes']} {case['lam']}"
)
def test_mixed_targets_match_golden_targets(case, mode):
    def mixed_targets(labels, ratios):
        targets = soft_targets(labels, case["num_classes"], case["smoothing"])
        return blend(targets, targets[::-1], ratios)

    found = run(mode, mixed_targets, np.array(case["labels"]), np.full((4, 1), case["lam"]))
    for row, wanted in zip(found, case["rows"], strict=True):
        values = np.full(case["num_classes"], wanted["all_other_classes"], dtype="float32")
        for label, value in wanted["values"].items():
            values[int(label)] = value
        np.testing.assert_array_equal(row, values)
        assert row.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_mixed_pixels_match_golden_pixels(mode):
    cases = GOLDEN["mixup_pixels_uint8"]["cases"]
    a, b = (np.array([case[key] for case in cases], dtype="uint8").reshape(-1, 1, 1, 1) for key in "ab")
    found = run(mode, blend_pixels, a, b, np.array([case["lam"] for case in cases]))
    np.testing.assert_array_equal(found.reshape(-1), [case["uint8"] for case in cases])


@pytest.mark.parametrize("mode", MODES)
def test_cut_boxes_match_golden_boxes(mode):
    for case in GOLDEN["cutmix_bbox"]["cases"]:
        height, width, wanted = case["H"], case["W"], case["old"]
        center = np.array([case["cy"]], dtype="int32"), np.array([case["cx"]], dtype="int32")
        found = run(
            mode,
            lambda ratios, rows, columns, h=height, w=width: cut_boxes(ratios, rows, columns, h, w),
            np.array([case["lam"]]),
            *center,
        )
        top, left, box_height, box_width = found[0]
        assert [top, top + box_height, left, left + box_width] == [wanted[key] for key in ("y0", "y1", "x0", "x1")]
        assert 1 - box_height * box_width / (height * width) == wanted["lam_corrected"]


@pytest.mark.parametrize("lam", [1.0, 0.7])
def test_loss_on_soft_targets_matches_golden_loss(lam):
    losses = GOLDEN["losses"]
    targets = soft_targets(tf.constant(losses["labels"]), 10, 0.1)
    targets = blend(targets, targets[::-1], tf.constant([[lam]], tf.float64)).numpy()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)(targets, np.array(losses["logits"], dtype="float32"))
    assert float(loss) == pytest.approx(losses["values"][f"soft_target_lam{lam}"], abs=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.8, 1.0, 4.0])
def test_ratios_have_the_moments_of_the_beta_distribution(alpha):
    ratios = symmetric_beta(
        tf.cast(draws()[:, 2:4], tf.float64), tf.fill([COUNT], tf.constant(alpha, tf.float64))
    ).numpy()
    assert ratios.min() >= 0
    assert ratios.max() <= 1
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(ratios.mean() - 0.5) < 5 * np.sqrt(variance / COUNT)
    # The fourth central moment of Beta(a, a) is 3 / (16 (2a + 1) (2a + 3)).
    fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))
    assert abs(((ratios - 0.5) ** 2).mean() - variance) < 5 * np.sqrt((fourth - variance**2) / COUNT)
    assert abs(((ratios - 0.5) ** 4).mean() - fourth) < 0.05 * fourth


def test_cutmix_ratios_are_uniform():
    ratios, is_cut = draw_ratios(draws(), tf.constant(0), Mixing(cutmix=1.0))
    assert is_cut.numpy().all()
    assert np.abs(np.sort(ratios) - np.linspace(0, 1, COUNT)).max() < 1.95 / np.sqrt(COUNT)


def test_cutmix_and_mixup_switch_and_skip_at_their_rates():
    ratios, is_cut = draw_ratios(draws(), tf.constant(0), Mixing(0.8, 1.0, mixup_prob=0.6, mixup_switch_prob=0.3))
    assert abs((ratios.numpy() < 1).mean() - 0.6) < 5 * np.sqrt(0.24 / COUNT)
    assert abs(is_cut.numpy().mean() - 0.3) < 5 * np.sqrt(0.21 / COUNT)
    _, is_cut = draw_ratios(draws(), tf.constant(0), Mixing(mixup=0.8))
    assert not is_cut.numpy().any()


def test_off_epoch_is_the_first_without_mixing():
    mixing = Mixing(0.8, 1.0, mixup_off_epoch=5)
    assert (draw_ratios(draws(), tf.constant(4), mixing)[0].numpy() < 1).mean() > 0.99
    assert (draw_ratios(draws(), tf.constant(5), mixing)[0].numpy() == 1).all()
    images, targets = mixed(mixing, epoch=5)
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(1, 9) * 20)
    np.testing.assert_array_equal(targets, np.eye(8))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mixing", [Mixing(mixup=0.8, mixup_mode=name) for name in ("batch", "pair", "elem")])
def test_mixup_blends_pixels_and_targets_alike_in_every_mode(mixing, mode):
    images, targets = mixed(mixing, mode=mode)
    ratios = np.diag(targets)
    np.testing.assert_allclose(targets, np.diag(ratios) + np.diag(1 - ratios)[:, ::-1], atol=1e-6)
    values = np.arange(1, 9) * 20
    wanted = ratios * values + (1 - ratios) * values[::-1]
    np.testing.assert_allclose(images, np.broadcast_to(wanted[:, None, None, None], images.shape), atol=0.51)
    distinct = {"batch": 1, "pair": 4, "elem": 8}[mixing.mixup_mode]
    assert len(np.unique(ratios)) == distinct
    if mixing.mixup_mode == "pair":
        np.testing.assert_array_equal(ratios, ratios[::-1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mixup_mode", ["batch", "pair", "elem"])
def test_cutmix_pastes_the_fraction_that_targets_have(mixup_mode, mode):
    images, targets = mixed(Mixing(cutmix=1.0, mixup_mode=mixup_mode), mode=mode)
    values = np.arange(1, 9) * 20
    for row in range(8):
        own = (images[row] == values[row]).all(axis=-1)
        assert (images[row][~own] == values[7 - row]).all()
        assert own.mean() == pytest.approx(targets[row, row], abs=1e-6)
    assert len(np.unique(np.diag(targets))) > 1 or mixup_mode == "batch"


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"mixup": -0.8}, ["mixup", "-0.8", "at least 0"]),
        ({"mixup_prob": 1.5}, ["mixup_prob", "1.5", "0 to 1"]),
        ({"mixup_mode": "half"}, ["mixup_mode", "'half'", "batch, pair, elem"]),
    ],
)
def test_rejects_values_out_of_range(values, parts):
    with pytest.raises(InputError) as error:
        Mixing(**values)
    assert all(part in str(error.value) for part in parts)


def test_rejects_odd_batches():
    with pytest.raises(InputError, match="even .* got 7"):
        check_batch_size(7)
