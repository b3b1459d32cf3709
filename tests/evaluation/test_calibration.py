import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve

from keras_cct.evaluation import calibration as c


def sharpened(temperature: float, num_images: int = 4000, num_classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels drawn from calibrated probabilities, and the probabilities of logits times `temperature`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(num_images, num_classes)) * 2
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (calibrated.cumsum(axis=1) > rng.random((num_images, 1))).argmax(axis=1)
    return labels, c.apply_temperature(calibrated, 1 / temperature)


def test_reliability_equals_the_calibration_curve_of_scikit_learn():
    labels, probabilities = sharpened(2.5)
    probabilities[:50] = np.eye(6, dtype="float32")[0]  # confidence 1, the last edge
    is_correct = probabilities.argmax(axis=1) == labels
    expected_accuracy, expected_confidence = calibration_curve(is_correct, probabilities.max(axis=1), n_bins=c.NUM_BINS)
    measured = c.measure_reliability(labels, probabilities)
    filled = measured.counts > 0
    np.testing.assert_allclose(measured.accuracy[filled], expected_accuracy, rtol=1e-6)
    np.testing.assert_allclose(measured.confidence[filled], expected_confidence, rtol=1e-6)
    assert not filled.all()
    expected_error = np.abs(expected_accuracy - expected_confidence) @ measured.counts[filled] / len(labels)
    assert measured.expected_error == pytest.approx(expected_error, rel=1e-6)


def test_ties_at_the_limit_of_a_bin_belong_to_the_bin_below():
    reliability = c.measure_reliability(np.array([0, 1]), np.array([[0.6, 0.4], [0.6, 0.4]]), num_bins=5)
    np.testing.assert_array_equal(reliability.counts, [0, 0, 2, 0, 0])
    assert reliability.accuracy[2] == 0.5


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_minimizes_the_cross_entropy_and_calibrates(temperature):
    labels, probabilities = sharpened(temperature)

    def loss(candidate: float) -> float:
        scaled = c.apply_temperature(probabilities.astype("float64"), candidate)
        return -np.log(scaled[np.arange(len(labels)), labels], dtype="float64").mean()

    fitted = c.fit_temperature(labels, probabilities)
    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6}).x
    assert fitted == pytest.approx(expected, rel=1e-3)  # float32 losses near their minimum are flat
    assert fitted == pytest.approx(temperature, rel=0.05)
    before = c.measure_reliability(labels, probabilities).expected_error
    after = c.measure_reliability(labels, c.apply_temperature(probabilities, fitted)).expected_error
    assert after < 0.03
    assert temperature == 1.0 or after < before / 2


def test_temperature_of_a_model_without_mistakes_stays_in_its_range():
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([0.9, 0.1])[np.stack([labels, 1 - labels], axis=1)]
    assert 0.05 <= c.fit_temperature(labels, probabilities) < 0.06  # further gains are below rounding errors
    assert 18 < c.fit_temperature(1 - labels, probabilities) <= 20
    assert c.fit_temperature(labels, np.full((4, 2), 0.5)) > 0  # any temperature gives the same probabilities


def test_accuracy_above_a_threshold_counts_the_confident_images():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.95, 0.05], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
    accuracy, share = c.accuracy_above(labels, probabilities)
    at = {round(100 * threshold): index for index, threshold in enumerate(c.THRESHOLDS)}
    assert (accuracy[at[0]], share[at[0]]) == (0.75, 1.0)
    assert (accuracy[at[65]], share[at[65]]) == (2 / 3, 0.75)
    assert (accuracy[at[90]], share[at[90]]) == (1.0, 0.25)
    assert np.isnan(accuracy[at[97]])
    assert share[at[97]] == 0
