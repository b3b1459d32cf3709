"""The report of one run: everything that helps to judge and to repeat it, in one HTML file."""

import base64
import dataclasses
import logging
import shlex
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
from markupsafe import Markup

from keras_cct.errors import InputError
from keras_cct.evaluation.evaluate import Evaluation
from keras_cct.evaluation.files import MAX_CONFUSION_CLASSES
from keras_cct.evaluation.metrics import most_confused
from keras_cct.explanation import explain, overlay
from keras_cct.models.summary import summarize
from keras_cct.recipe.recipe import Recipe
from keras_cct.report.artifact_table import measure_artifacts
from keras_cct.report.confusion_figure import draw_confusion
from keras_cct.report.figures import draw_accuracy_above, draw_reliability, draw_series
from keras_cct.report.page import write_page
from keras_cct.report.pictures import LOSSLESS_SIDE, enlarge, to_data_uri
from keras_cct.report.run_metrics import Progress, evaluate_run, no_progress
from keras_cct.report.run_record import RunRecord
from keras_cct.report.theme import to_svg
from keras_cct.training.environment import cpu_name, package_version
from keras_cct.training.loggers import MAX_K
from keras_cct.weights.formats import read_keras_file

log = logging.getLogger(__name__)

MAX_CONFUSED = 20
_EXPLAINED_TOGETHER = 4
"""Images per call of `explain`, which returns the attention of all blocks: up to 100 MB per image."""

CURVES = {
    "Loss": ({"train_loss": "training", "eval_loss": "evaluation"}, "cross-entropy"),
    "Accuracy": ({"train_top1": "training top-1", "eval_top1": "top-1", "eval_top5": "top-5"}, "accuracy in %"),
    "Learning rate": ({"learning_rate": ""}, "learning rate"),
}
"""Columns of summary.csv with their labels, and the label of the vertical axis, for each figure of the curves."""


def write_report(
    run: str | PathLike, output: str | PathLike | None = None, *, progress: Progress = no_progress
) -> Path:
    """Writes a report of a run, one HTML file that needs no network.

    The best model is evaluated on the evaluation images of the run. If they are no longer available, the report says so
    and contains the rest.

    Args:
        run: The run folder; runs of earlier versions work as well.
        output: The HTML file; `report.html` in the run folder by default. An existing one is replaced.
        progress: Shows the progress of the evaluation.

    Returns:
        The path of the report.

    Raises:
        InputError: The folder is not a run folder, has no summary or model, or the report cannot be written.
    """
    record = RunRecord.read(run)
    model = read_keras_file(record.folder.best_model)
    evaluation, notice = None, ""
    try:
        evaluation = evaluate_run(record, model, progress)
    except InputError as error:
        notice = f"The model was not evaluated: {error}"
        log.warning("the report has no evaluation: %s", error)
    artifacts = measure_artifacts(record.folder)
    return write_page(
        "run.html",
        record.folder.report if output is None else Path(output),
        version=package_version("keras_cct"),
        record=record,
        notice=notice,
        tiles=_list_tiles(record, model, evaluation),
        curves=_draw_curves(record, model.output_shape[-1]),
        evaluation=None if evaluation is None else _describe_evaluation(evaluation, model),
        artifacts=artifacts,
        cpu=cpu_name(),
        **_describe_recipe(record),
    )


def _list_tiles(record: RunRecord, model: keras.Model, evaluation: Evaluation | None) -> list[dict[str, str]]:
    best = record.best_row
    top1, top5 = best["eval_top1"], best.get("eval_top5")
    loss, speed = best["eval_loss"], best.get("images_per_second")
    tiles = [("top-1", f"{top1:.2f} %", f"of the evaluation images, in epoch {best['epoch']}")]
    if evaluation is not None:
        top1, top5, loss = evaluation.top1, evaluation.top5, evaluation.loss
        tiles = [("top-1", f"{top1:.2f} %", f"of {len(evaluation):,} evaluation images")]
    if top5 is not None and (evaluation is None or len(evaluation.class_names) > MAX_K):
        tiles.append(("top-5", f"{top5:.2f} %", "label among the first five"))
    if evaluation is not None:
        tiles += [
            ("macro F1", f"{evaluation.macro_f1:.2f} %", "mean over the classes"),
            (
                "calibration error",
                f"{evaluation.calibration_error:.2f} %",
                f"{evaluation.calibrated_error:.2f} % with temperature {evaluation.temperature:.3g}",
            ),
            ("inference, images/s", f"{evaluation.images_per_second:,.0f}", f"in Keras on {cpu_name()}"),
        ]
    tiles.insert(2, ("loss", f"{loss:.4f}", "cross-entropy in nats"))
    if speed is not None:
        tiles.append(("training, images/s", f"{speed:,.0f}", "in the best epoch"))
    size = "x".join(map(str, model.input_shape[1:]))
    total = summarize(model).total
    costs = f"{total.macs_with_attention / 1e6:,.1f} million MACs per image of {size}"
    tiles.append(("parameters", f"{total.parameters:,}", costs))
    return [dict(zip(("label", "value", "note"), tile, strict=True)) for tile in tiles]


def _draw_curves(record: RunRecord, num_classes: int) -> dict[str, Markup]:
    curves = {}
    hidden = "eval_top5" if num_classes <= MAX_K else ""
    for name, (labels, ylabel) in CURVES.items():
        columns = {column: label for column, label in labels.items() if column != hidden}
        if any(column in record.rows[0] for column in columns):
            curves[name] = Markup(to_svg(draw_series({"": record.rows}, columns, ylabel), name))
    return curves


def _describe_evaluation(evaluation: Evaluation, model: keras.Model) -> dict[str, Any]:
    names, metrics = evaluation.class_names, evaluation.per_class
    has_matrix = len(names) <= MAX_CONFUSION_CLASSES
    pairs = most_confused(evaluation.confusion, MAX_CONFUSED) if has_matrix else []
    confused = [
        {
            "label": names[label],
            "prediction": names[guess],
            "count": count,
            "rate": 100 * count / metrics.support[label],
        }
        for label, guess, count in pairs
    ]
    classes = [
        {"name": name, "rates": [100 * rate for rate in rates], "support": int(support)}
        for name, *rates, support in zip(
            names, metrics.precision, metrics.recall, metrics.f1, metrics.support, strict=True
        )
    ]
    return {
        "num_images": f"{len(evaluation):,}",
        "num_classes": len(names),
        "confusion": Markup(to_svg(draw_confusion(evaluation), "confusion")) if has_matrix else "",
        "matrix_size": min(max(320, 24 * len(names)), 760),
        "confused": confused,
        "classes": classes,
        "calibration": _describe_calibration(evaluation),
        "reliability": Markup(to_svg(draw_reliability(evaluation), "reliability")),
        "accuracy_above": Markup(to_svg(draw_accuracy_above(evaluation), "accuracy above")),
        **_describe_mistakes(evaluation, model),
    }


def _describe_calibration(evaluation: Evaluation) -> str:
    kind = "too confident" if evaluation.temperature > 1 else "not confident enough"
    return (
        f"On average, confidence and accuracy differ by {evaluation.calibration_error:.2f} percentage points. "
        f"The model is {kind}: dividing its logits by {evaluation.temperature:.3g} reduces the difference to "
        f"{evaluation.calibrated_error:.2f}."
    )


def _describe_mistakes(evaluation: Evaluation, model: keras.Model) -> dict[str, Any]:
    mistakes, note = evaluation.mistakes, "The image as the model sees it."
    pictures: list[list[np.ndarray]] = [[mistake.pixels] for mistake in mistakes]
    if mistakes:
        try:
            for start in range(0, len(mistakes), _EXPLAINED_TOGETHER):
                group = pictures[start : start + _EXPLAINED_TOGETHER]
                maps = explain(model, np.stack([shown[0] for shown in group])).pooling
                for shown, pooling in zip(group, maps, strict=True):
                    shown.append(overlay(enlarge(shown[0]), pooling))
            note = "Left: the image as the model sees it. Right: the weight of each patch when the tokens are pooled."
        except InputError as error:
            note = f"{note} The pooling map is not available: {error}"
    described = [
        {
            "images": [to_data_uri(pixels) for pixels in shown],
            "is_small": max(mistake.pixels.shape[:2]) <= LOSSLESS_SIDE,
            "label": evaluation.class_names[mistake.label],
            "prediction": evaluation.class_names[mistake.prediction],
            "confidence": 100 * mistake.confidence,
        }
        for mistake, shown in zip(mistakes, pictures, strict=True)
    ]
    return {"mistakes": described, "mistakes_note": note}


def _describe_recipe(record: RunRecord) -> dict[str, Any]:
    recipe, backend = record.recipe, record.environment.get("backend", "tensorflow")
    prefix = "" if backend == "tensorflow" else f"KERAS_BACKEND={shlex.quote(backend)} "
    encoded = base64.b64encode(recipe.to_yaml().encode()).decode()
    items = {key: value for key, value in dataclasses.asdict(recipe).items() if value not in ("", ())}
    fields = dataclasses.fields(Recipe)
    source = f" from {recipe.data_dir}" if recipe.data_dir else ""
    return {
        "command": f"{prefix}keras_cct train -c recipe.yml",
        "recipe_uri": f"data:application/yaml;base64,{encoded}",
        "recipe_items": [(key, _to_text(value)) for key, value in items.items()],
        "changed": [field.name for field in fields if getattr(recipe, field.name) != field.default],
        "data_note": f"The images are those of {recipe.dataset}{source}.",
    }


def _to_text(value: object) -> str:
    return ", ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else str(value)
