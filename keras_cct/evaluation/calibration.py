"""Calibration: whether predictions of 80 % confidence are correct in 80 % of the cases, and temperature scaling."""

import dataclasses
from collections.abc import Iterator

import numpy as np

NUM_BINS = 15
TEMPERATURE_RANGE = (0.05, 20.0)
"""Fitted temperatures stay in this range; for a model without mistakes the optimum would be 0."""

THRESHOLDS = np.arange(100) / 100
"""Confidence thresholds of the accuracy against confidence."""

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-9
_CHUNK_SIZE = 2048
_SMALLEST = np.finfo("float32").tiny


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy of the predictions in bins of equal width of their confidence.

    Args:
        edges: Limits of the bins in ascending order, shape (bins + 1,); a bin includes its upper limit.
        counts: Number of images per bin, shape (bins,).
        accuracy: Fraction of correct predictions per bin; NaN in an empty bin.
        confidence: Mean confidence per bin; NaN in an empty bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray

    @property
    def expected_error(self) -> float:
        """Expected calibration error (ECE): mean distance between accuracy and confidence, weighted by the counts.

        Reference: Guo et al. 2017, arXiv:1706.04599, section 2.
        """
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(gaps @ self.counts / self.counts.sum())


def measure_reliability(labels: np.ndarray, probabilities: np.ndarray, num_bins: int = NUM_BINS) -> Reliability:
    """Groups the most probable classes by their probability, the confidence.

    Args:
        labels: Integer array of shape (images,).
        probabilities: Float array of shape (images, classes).
        num_bins: Number of bins between 0 and 1.
    """
    confidence = probabilities.max(axis=1).astype("float64")
    is_correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.searchsorted(edges[1:-1], confidence)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, the value of an empty bin
        accuracy = np.bincount(bins, is_correct, num_bins) / counts
        mean_confidence = np.bincount(bins, confidence, num_bins) / counts
    return Reliability(edges, counts, accuracy, mean_confidence)


def accuracy_above(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the accuracy of the images whose confidence is at least each of `THRESHOLDS`, and their share.

    Args:
        labels: Integer array of shape (images,).
        probabilities: Float array of shape (images, classes).

    Returns:
        Two arrays of shape (thresholds,): fraction of correct predictions, NaN without images, and fraction of images.
    """
    confidence = probabilities.max(axis=1)
    is_kept = confidence >= THRESHOLDS[:, None]  # (thresholds, images)
    num_kept = is_kept.sum(axis=1)
    num_correct = (is_kept & (probabilities.argmax(axis=1) == labels)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return num_correct / num_kept, num_kept / len(labels)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the probabilities of the logits divided by a temperature, float32 of shape (images, classes).

    Logarithms of probabilities are logits up to a constant per image, so no logits are needed.
    """
    chunks = [_softmax(logits / temperature).astype("float32") for _, logits in _logit_chunks(probabilities)]
    return np.concatenate(chunks)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the temperature that minimizes the cross-entropy: above 1 for a model that is too confident.

    The cross-entropy is convex in the inverse temperature, whose optimum Newton's method finds within brackets.

    Args:
        labels: Integer array of shape (images,).
        probabilities: Float array of shape (images, classes).

    Returns:
        A temperature within `TEMPERATURE_RANGE`.

    Reference: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    high, low = (1 / limit for limit in TEMPERATURE_RANGE)
    inverse = 1.0
    for _ in range(_MAX_ITERATIONS):
        slope, curvature = _cross_entropy_derivatives(labels, probabilities, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) < _TOLERANCE * inverse:
            break
        inverse = following
    return float(1 / inverse)


def _cross_entropy_derivatives(labels: np.ndarray, probabilities: np.ndarray, inverse: float) -> tuple[float, float]:
    """Returns the first and second derivative of the summed cross-entropy by the inverse temperature."""
    slope = curvature = 0.0
    for rows, logits in _logit_chunks(probabilities):
        weights = _softmax(inverse * logits)  # (images, classes)
        means = (weights * logits).sum(axis=1)
        slope += float((means - np.take_along_axis(logits, labels[rows, None], axis=1)[:, 0]).sum())
        curvature += float((weights * (logits - means[:, None]) ** 2).sum())
    return slope, curvature


def _logit_chunks(probabilities: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices of rows with their float64 log-probabilities, because those of all rows may not fit into memory."""
    for start in range(0, len(probabilities), _CHUNK_SIZE):
        rows = slice(start, start + _CHUNK_SIZE)
        yield rows, np.log(np.maximum(probabilities[rows], _SMALLEST), dtype="float64")


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
