"""Compares runs side by side; runs that differ only in their seed or fold are summarized by mean and deviation."""

import dataclasses
import logging
import statistics
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from markupsafe import Markup

from keras_cct.errors import InputError
from keras_cct.facts.datasets import standard_name
from keras_cct.recipe.recipe import Recipe
from keras_cct.report.figures import draw_series
from keras_cct.report.page import write_page
from keras_cct.report.run_metrics import Progress, RunMetrics, measure_run, no_progress
from keras_cct.report.run_record import RunRecord, find_runs
from keras_cct.report.theme import to_svg
from keras_cct.training.environment import package_version

log = logging.getLogger(__name__)

CURVES = {"Loss": ("eval_loss", "evaluation loss"), "Accuracy": ("eval_top1", "evaluation top-1 in %")}
"""Column of summary.csv and label of the vertical axis of each figure."""

_COLUMNS = {
    "top1": ("top-1, %", 2),
    "top5": ("top-5, %", 2),
    "macro_f1": ("macro F1, %", 2),
    "loss": ("loss", 4),
    "calibration_error": ("ECE, %", 2),
    "training_speed": ("training, images/s", 0),
    "images_per_second": ("inference, images/s", 0),
    "parameters": ("parameters", 0),
    "macs": ("MACs, M", 1),
}
"""Header and number of decimals of each column of the table."""

_NOT_COMPARED = ("seed", "fold", "workers", "data_dir", "class_map")
"""Recipe keys that may differ between runs of one experiment. Data are compared by classes and number of images."""


@dataclasses.dataclass(frozen=True)
class _Run:
    """A run with its metrics, which are None if its images are no longer available."""

    record: RunRecord
    metrics: RunMetrics | None

    @property
    def numbers(self) -> dict[str, float]:
        """The columns of the table; those that are unknown are missing."""
        best = self.record.best_row
        numbers = {name: best[f"eval_{name}"] for name in ("top1", "top5", "loss") if f"eval_{name}" in best}
        speeds = [row["images_per_second"] for row in self.record.rows if "images_per_second" in row]
        if speeds:
            numbers["training_speed"] = statistics.median(speeds)
        if self.metrics is not None:
            numbers |= self.metrics.numbers
            numbers |= {"parameters": self.metrics.parameters, "macs": self.metrics.macs / 1e6}
        return numbers

    @property
    def experiment(self) -> str:
        """The recipe without the keys that do not make it another experiment."""
        defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
        return dataclasses.replace(self.record.recipe, **{key: defaults[key] for key in _NOT_COMPARED}).to_yaml()


def write_comparison(
    runs: Sequence[str | PathLike], output: str | PathLike, *, progress: Progress = no_progress
) -> Path:
    """Writes a comparison of runs, one HTML file that needs no network.

    It overlays the curves and tabulates accuracy, speed, size and the recipe keys that differ. Runs whose recipes
    differ only in the seed or the fold form a group with mean and standard deviation. A run without stored metrics is
    evaluated; if its images are no longer available, the accuracy during the training is used.

    Args:
        runs: Run folders, or folders that contain runs.
        output: The HTML file; an existing one is replaced.
        progress: Shows the progress of each evaluation.

    Returns:
        The path of the comparison.

    Raises:
        InputError: There are fewer than two runs, a folder is not a run, or the runs are on different data.
    """
    paths = list(dict.fromkeys(path for run in runs for path in find_runs(run)))
    if len(paths) < 2:
        raise InputError(f"a comparison needs at least two runs, got {', '.join(map(str, paths))}. Add another run.")
    records = [RunRecord.read(path) for path in paths]
    for record in records[1:]:
        _check_same_data(records[0], record, _dataset_name(records[0]), _dataset_name(record))
    compared = [_measure(record, progress) for record in records]
    measured = [(run.record, _describe_data(run.record, run.metrics)) for run in compared if run.metrics is not None]
    for record, data in measured[1:]:
        _check_same_data(measured[0][0], record, measured[0][1], data)
    names = _name_runs(records)
    groups: dict[str, list[str]] = {}
    for name, run in zip(names, compared, strict=True):
        groups.setdefault(run.experiment, []).append(name)
    by_name = dict(zip(names, compared, strict=True))
    columns = [name for name in _COLUMNS if any(name in run.numbers for run in compared)]
    curves = {name: run.record.rows for name, run in by_name.items()}
    return write_page(
        "comparison.html",
        Path(output),
        version=package_version("keras_cct"),
        dataset=records[0].recipe.dataset,
        headers=[_COLUMNS[name][0] for name in columns],
        groups=[_describe_group([by_name[name] for name in members], members, columns) for members in groups.values()],
        runs=[{"name": name, "cells": _list_cells(run.numbers, columns)} for name, run in by_name.items()],
        curves={
            title: Markup(to_svg(draw_series(curves, {column: ""}, ylabel), title))
            for title, (column, ylabel) in CURVES.items()
        },
        names=names,
        differences=_list_differences([record.recipe for record in records]),
    )


def summarize_runs(runs: Sequence[str | PathLike]) -> str:
    """Returns mean and standard deviation of the main metrics of evaluated runs, in one line.

    Args:
        runs: Two or more run folders.

    Raises:
        InputError: A folder is not a run.
    """
    compared = [_measure(RunRecord.read(run), no_progress) for run in runs]
    parts = []
    for column, name in (("top1", "top-1"), ("macro_f1", "macro F1"), ("loss", "loss")):
        values = [run.numbers[column] for run in compared if column in run.numbers]
        decimals, unit = _COLUMNS[column][1], "" if column == "loss" else " %"
        if len(values) == len(compared):
            parts.append(
                f"{name} {statistics.mean(values):.{decimals}f} ± {statistics.stdev(values):.{decimals}f}{unit}"
            )
    return f"{', '.join(parts)} (mean and standard deviation of {len(compared)} runs)"


def _measure(record: RunRecord, progress: Progress) -> _Run:
    try:
        return _Run(record, measure_run(record, progress))
    except InputError as error:
        log.warning("%s was not evaluated, its accuracy is that of the training: %s", record.name, error)
        return _Run(record, None)


def _dataset_name(record: RunRecord) -> str:
    return standard_name(record.recipe.dataset.removeprefix("tfds/").removeprefix("keras/"))


def _check_same_data(first: RunRecord, second: RunRecord, first_data: str, second_data: str) -> None:
    if first_data != second_data:
        raise InputError(
            f"the runs {first.name!r} and {second.name!r} are on different data, {first_data} and {second_data}. "
            f"Compare runs on the same data."
        )


def _describe_data(record: RunRecord, metrics: RunMetrics) -> str:
    """Returns what runs on the same data share; the folds of a cross-validation may differ by one image."""
    classes, folds = metrics.class_names, record.recipe.folds
    images = f"{folds} folds" if folds else f"{metrics.numbers['num_images']} images"
    return f"{images} of {len(classes)} classes ({', '.join(sorted(classes)[:3])}, ...)"


def _name_runs(records: Sequence[RunRecord]) -> list[str]:
    """Returns unique names of runs: that of the folder, else with its parent's, else the whole path."""
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        names = ["/".join(record.folder.path.resolve().parts[-2:]) for record in records]
    if len(set(names)) < len(names):
        names = [str(record.folder.path.resolve()) for record in records]
    return names


def _describe_group(runs: Sequence[_Run], names: Sequence[str], columns: Sequence[str]) -> dict[str, object]:
    cells = []
    for column in columns:
        values = [run.numbers[column] for run in runs if column in run.numbers]
        decimals = _COLUMNS[column][1]
        cell = f"{statistics.mean(values):,.{decimals}f}" if values else "—"
        if len(values) > 1 and column not in ("parameters", "macs"):
            cell += f" ± {statistics.stdev(values):,.{decimals}f}"
        cells.append({"text": cell, "value": statistics.mean(values) if values else -1})
    recipe = runs[0].record.recipe
    key = "fold" if recipe.fold else "seed"
    numbers = ", ".join(str(getattr(run.record.recipe, key)) for run in runs)
    label = names[0] if len(runs) == 1 else f"{recipe.model}, {key}s {numbers}"
    return {"name": label, "cells": cells}


def _list_cells(numbers: dict[str, float], columns: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"text": f"{numbers[name]:,.{_COLUMNS[name][1]}f}" if name in numbers else "—", "value": numbers.get(name, -1)}
        for name in columns
    ]


def _list_differences(recipes: Sequence[Recipe]) -> list[dict[str, object]]:
    differences = []
    for field in dataclasses.fields(Recipe):
        values = [getattr(recipe, field.name) for recipe in recipes]
        if any(value != values[0] for value in values):
            differences.append({"key": field.name, "values": [str(value) if value != "" else "—" for value in values]})
    return differences
