"""Classification metrics, in NumPy. Rates are fractions in [0, 1].

Args of all functions: `labels` and `predictions` are integer arrays of shape (images,); `probabilities` is a float
array of shape (images, classes).
"""

import dataclasses

import numpy as np

_SMALLEST = np.finfo("float32").tiny


@dataclasses.dataclass(frozen=True, eq=False)
class ClassMetrics:
    """Metrics of each class, arrays of shape (classes,).

    Args:
        precision: Fraction of the images predicted as the class that belong to it; 0 if there are none.
        recall: Fraction of the images of the class that are predicted as it; 0 if there are none.
        f1: Harmonic mean of precision and recall; 0 if both are 0.
        support: Number of images of the class.
        predicted: Number of images predicted as the class.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur among the labels or the predictions, as in scikit-learn."""
        return float(self.f1[(self.support > 0) | (self.predicted > 0)].mean())


def label_ranks(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the rank of each label among the classes of its image, 0 for the most probable one.

    Of classes with the same probability, the one with the lower index comes first.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)  # (images, 1)
    comes_first = np.arange(probabilities.shape[1]) < labels[:, None]  # (images, classes)
    return ((probabilities > own) | ((probabilities == own) & comes_first)).sum(axis=1)


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean negative log-probability of the labels, in nats; probabilities of 0 count as 1.2e-38."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return float(-np.log(np.maximum(own, _SMALLEST), dtype="float64").mean())


def confusion_counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns the number of images per label (rows) and prediction (columns), int64 of shape (classes, classes)."""
    pairs = labels.astype("int64") * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def normalize_rows(counts: np.ndarray) -> np.ndarray:
    """Divides each row of a confusion matrix by its sum; rows of classes without images stay 0."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)


def class_metrics(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> ClassMetrics:
    """Returns precision, recall, F1 and support of each class."""
    support, predicted, correct = (
        np.bincount(chosen, minlength=num_classes) for chosen in (labels, predictions, labels[labels == predictions])
    )
    precision, recall = (_divide(correct, total) for total in (predicted, support))
    return ClassMetrics(precision, recall, _divide(2 * correct, predicted + support), support, predicted)


def most_confused(counts: np.ndarray, limit: int) -> list[tuple[int, int, int]]:
    """Returns the largest entries of a confusion matrix outside its diagonal.

    Args:
        counts: Confusion matrix of shape (classes, classes).
        limit: Maximum number of entries.

    Returns:
        Triples of label, prediction and number of images, in descending order of the number, without zeros.
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(label), int(guess), int(wrong[label, guess])) for label, guess in pairs if wrong[label, guess]]


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
