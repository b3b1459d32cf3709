"""Writes an evaluation as files: metrics.json, per_class.csv and confusion.csv."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from keras_cct.evaluation.evaluate import Evaluation

MAX_CONFUSION_CLASSES = 5_000
"""A confusion matrix of more classes takes more than 0.2 GB, and is not written."""
METRICS, PER_CLASS, CONFUSION = "metrics.json", "per_class.csv", "confusion.csv"


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Writes the numbers of an evaluation to a folder.

    `metrics.json` has the fields of `Evaluation.metrics`. `per_class.csv` has a line per class: name, precision,
    recall, F1 and support, the rates in percent. `confusion.csv` has the number of images per label (lines) and
    prediction (columns); it is left out for more than `MAX_CONFUSION_CLASSES`.

    Args:
        evaluation: The evaluation.
        folder: An existing folder.
    """
    text = json.dumps(evaluation.metrics(), indent=2)
    (folder / METRICS).write_text(text + "\n", encoding="utf-8")
    _write_csv(folder / PER_CLASS, [("class", "precision", "recall", "f1", "support"), *_class_lines(evaluation)])
    names = evaluation.class_names
    if len(names) > MAX_CONFUSION_CLASSES:
        return
    counts = [(name, *row) for name, row in zip(names, evaluation.confusion.tolist(), strict=True)]
    _write_csv(folder / CONFUSION, [("label", *names), *counts])


def _class_lines(evaluation: Evaluation) -> Iterable[tuple[object, ...]]:
    metrics = evaluation.per_class
    for index, name in enumerate(evaluation.class_names):
        rates = (100 * rate[index] for rate in (metrics.precision, metrics.recall, metrics.f1))
        yield name, *(f"{rate:.4g}" for rate in rates), metrics.support[index]


def _write_csv(path: Path, lines: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
