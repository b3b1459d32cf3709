"""Every metric equals scikit-learn's on random predictions with ties, missing classes and up to 1,000 classes."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from keras_cct.evaluation import metrics as m

CASES = {
    "two classes": (2, 40, range(2)),
    "ten classes": (10, 300, range(10)),
    "missing labels": (10, 120, (1, 2, 7)),
    "one label": (5, 30, (3,)),
    "a thousand classes": (1000, 1500, range(1000)),
}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    num_classes, num_images, present = CASES[request.param]
    rng = np.random.default_rng(num_classes)
    labels = rng.choice(present, num_images)
    scores = rng.integers(1, 5, (num_images, num_classes)).astype("float64")  # few values: many ties
    scores[np.arange(num_images), labels] += rng.integers(0, 2, num_images)
    return labels, scores / scores.sum(axis=1, keepdims=True)


def test_ranks_equal_the_top_k_accuracy_of_scikit_learn(case):
    labels, probabilities = case
    num_classes = probabilities.shape[1]
    ranks = m.label_ranks(labels, probabilities)
    assert np.mean(ranks == 0) == sklearn_metrics.accuracy_score(labels, probabilities.argmax(axis=1))
    if num_classes > 5:
        # Of equal scores, scikit-learn ranks the last class first, so the classes are reversed.
        reversed_labels, reversed_scores = num_classes - 1 - labels, probabilities[:, ::-1]
        expected = sklearn_metrics.top_k_accuracy_score(
            reversed_labels, reversed_scores, k=5, labels=np.arange(num_classes)
        )
        assert np.mean(ranks < 5) == expected


def test_cross_entropy_equals_scikit_learn(case):
    labels, probabilities = case
    expected = sklearn_metrics.log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1]))
    assert m.cross_entropy(labels, probabilities) == pytest.approx(expected, rel=1e-12)


def test_confusion_counts_equal_scikit_learn(case):
    labels, probabilities = case
    predictions, classes = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    counts = m.confusion_counts(labels, predictions, len(classes))
    np.testing.assert_array_equal(counts, sklearn_metrics.confusion_matrix(labels, predictions, labels=classes))
    present = np.unique(labels)
    expected = sklearn_metrics.confusion_matrix(labels, predictions, labels=classes, normalize="true")
    np.testing.assert_allclose(m.normalize_rows(counts), expected, rtol=1e-12)
    assert m.normalize_rows(counts).sum() == pytest.approx(len(present))


def test_metrics_per_class_equal_scikit_learn(case):
    labels, probabilities = case
    predictions, classes = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    expected = sklearn_metrics.precision_recall_fscore_support(labels, predictions, labels=classes, zero_division=0)
    measured = m.class_metrics(labels, predictions, len(classes))
    for values, expected_values in zip(
        (measured.precision, measured.recall, measured.f1, measured.support), expected, strict=True
    ):
        np.testing.assert_allclose(values, expected_values, rtol=1e-12)
    expected_f1 = sklearn_metrics.f1_score(labels, predictions, average="macro", zero_division=0)
    assert measured.macro_f1 == pytest.approx(expected_f1, rel=1e-12)


def test_most_confused_pairs_are_the_largest_counts_outside_the_diagonal():
    counts = np.array([[9, 3, 0], [1, 9, 5], [0, 0, 9]])
    assert m.most_confused(counts, 2) == [(1, 2, 5), (0, 1, 3)]
    assert m.most_confused(counts, 9) == [(1, 2, 5), (0, 1, 3), (1, 0, 1)]
    assert counts[0, 0] == 9


def test_a_probability_of_zero_has_a_finite_loss():
    assert 80 < m.cross_entropy(np.array([1]), np.array([[1.0, 0.0]], "float32")) < 90
