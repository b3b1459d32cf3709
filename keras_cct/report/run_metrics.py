"""Evaluates the best model of a run, and stores its metrics in the run folder for comparisons."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np

from keras_cct.data.fingerprint import DataFingerprint
from keras_cct.data.sources.open import open_data
from keras_cct.errors import is_number
from keras_cct.evaluation.evaluate import Evaluation, evaluate
from keras_cct.files import reading, replacing
from keras_cct.inference.artifacts import saved_split
from keras_cct.models.summary import summarize
from keras_cct.report.run_record import RunRecord
from keras_cct.weights.formats import read_keras_file

IMBALANCE = 2
"""Classes are imbalanced if the largest has more than this many times the training images of the smallest."""
MAX_LISTED_CLASSES = 10

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], object]]]
"""`progress(num_images, description)` shows a progress bar; the function that it yields adds a number of images."""


@contextlib.contextmanager
def no_progress(_num_images: int, _description: str) -> Iterator[Callable[[int], object]]:
    """A `Progress` without a progress bar."""
    yield lambda _count: None


@dataclasses.dataclass(frozen=True)
class RunMetrics:
    """Metrics of the best model of a run.

    Args:
        parameters: Number of parameters.
        macs: Multiply-accumulate operations for one image, with those of attention and pooling.
        class_names: Names of the classes.
        numbers: The fields of `Evaluation.metrics`.
        per_class: For each class its `name`, `precision`, `recall` and `f1` in percent, and number of `images`; empty
            if a version that did not store them has written the metrics.
    """

    parameters: int
    macs: int
    class_names: tuple[str, ...]
    numbers: dict[str, float]
    per_class: list[dict[str, Any]]


def evaluate_run(record: RunRecord, model: keras.Model, progress: Progress = no_progress) -> Evaluation:
    """Evaluates a model on the evaluation images of a run, as the training did, and stores the metrics in the run.

    Args:
        record: The run.
        model: Its best model.
        progress: Shows the progress.

    Raises:
        InputError: The images cannot be read, have other classes than the model, or the model predicts NaN.
    """
    recipe = record.recipe
    _, data = open_data(recipe, saved_split(record.folder.path))
    with progress(len(data), f"evaluating {record.name}") as advance:
        evaluation = evaluate(
            model, data, crop_pct=recipe.crop_pct, interpolation=recipe.interpolation, on_batch=advance
        )
    total = summarize(model).total
    metrics = RunMetrics(
        total.parameters,
        total.macs_with_attention,
        evaluation.class_names,
        evaluation.metrics(),
        _list_classes(evaluation),
    )
    with replacing(record.folder.metrics) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(metrics), indent=2) + "\n", encoding="utf-8")
    return evaluation


def measure_run(record: RunRecord, progress: Progress = no_progress) -> RunMetrics:
    """Returns the metrics that are stored in a run, or evaluates its best model if there are none or they are older.

    Raises:
        InputError: As for `evaluate_run`, or the stored metrics are corrupted.
    """
    path, model_file = record.folder.metrics, record.folder.best_model
    if not path.is_file() or path.stat().st_mtime < model_file.stat().st_mtime:
        evaluate_run(record, read_keras_file(model_file), progress)
    with reading(path, "the metrics of a run", "Remove the file; it is written again."):
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        counts = int(values["parameters"]), int(values["macs"])
        per_class = [dict(row) for row in values.get("per_class", [])]
        names, numbers = tuple(values["class_names"]), dict(values["numbers"])
        if not all(isinstance(name, str) for name in names) or not all(map(is_number, numbers.values())):
            raise ValueError("a value has another type")
        if int(numbers["num_images"]) < 1:
            raise ValueError("it has no images")
        return RunMetrics(*counts, names, numbers, per_class)


def imbalanced_counts(record: RunRecord) -> dict[str, int]:
    """Returns the number of training images of each class if they are imbalanced; empty if not, or if unknown."""
    if not record.folder.data.is_file():
        return {}
    data = DataFingerprint.read(record.folder.data)
    counts = np.bincount(data.splits[0].labels, minlength=len(data.class_names)).tolist()
    return dict(zip(data.class_names, counts, strict=True)) if max(counts) > IMBALANCE * min(counts) else {}


def list_low_recalls(record: RunRecord) -> list[str]:
    """Returns lines with the lowest recalls of a run whose classes are imbalanced, from its stored metrics."""
    counts = imbalanced_counts(record)
    rows = measure_run(record).per_class if counts and record.folder.metrics.is_file() else []
    if not rows:
        return []
    lowest = sorted((row for row in rows if row["images"]), key=lambda row: row["recall"])[:MAX_LISTED_CLASSES]
    width = max(len(row["name"]) for row in lowest)
    return [
        f"recall of the classes, which have {min(counts.values())} to {max(counts.values())} training images, lowest "
        f"first:",
        *(
            f"  {row['name']:{width}} {row['recall']:6.1f} %  ({counts.get(row['name'], 0)} training images)"
            for row in lowest
        ),
    ]


def _list_classes(evaluation: Evaluation) -> list[dict[str, Any]]:
    metrics = evaluation.per_class
    rates = {name: (100 * getattr(metrics, name)).tolist() for name in ("precision", "recall", "f1")}
    columns = {"name": evaluation.class_names, **rates, "images": metrics.support.tolist()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
