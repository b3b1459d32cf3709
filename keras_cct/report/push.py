"""Pushes a finished run to the Hugging Face Hub: best model, recipe, metrics and a model card, in one commit."""

import dataclasses
import json
import logging
import re
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError, check_path
from keras_cct.recipe.recipe import Recipe
from keras_cct.report.model_card import write_model_card
from keras_cct.report.run_metrics import Progress, RunMetrics, measure_run, no_progress
from keras_cct.report.run_record import RunRecord
from keras_cct.training.early_stopping import is_exhausted
from keras_cct.weights.formats import read_keras_file
from keras_cct.weights.hub import MODEL_FILE, HubModel

log = logging.getLogger(__name__)


def push_run(
    run: str | PathLike,
    hub_url: str,
    *,
    license_id: str | None = None,
    private: bool = False,
    progress: Progress = no_progress,
) -> str:
    """Writes the best model of a run, its recipe, its metrics and a model card to a repository on the hub.

    Everything is checked before the first request, and all files are written in one commit. Local folders are left out
    of the recipe.

    Args:
        run: The run folder. Its training must have finished.
        hub_url: `hf://user/name`. The repository is created if it does not exist.
        license_id: The hub's identifier of the license, e.g. "apache-2.0". Without one, the model card says so.
        private: Whether only its owner can read the repository.
        progress: Shows the progress of the evaluation, if the run has no metrics yet.

    Returns:
        The web page of the commit.

    Raises:
        InputError: The run has not finished, an argument is invalid, the package `huggingface_hub` or a token is
            missing, or the hub refuses a request.
    """
    check_path("run", run)
    target = HubModel.parse(hub_url)
    if license_id is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license_id):
        raise InputError(f"license {license_id!r} is not an identifier such as apache-2.0, mit or cc-by-4.0. Use one.")
    record = RunRecord.read(run)
    _check_finished(record)
    target.check_upload()
    model = read_keras_file(record.folder.best_model)
    metrics = _measure(record, progress)
    published = dataclasses.replace(record, recipe=without_folders(record.recipe))
    numbers = {"best_epoch": record.best_row} if metrics is None else dataclasses.asdict(metrics)
    files: dict[str, bytes | Path] = {
        MODEL_FILE: record.folder.best_model,
        "recipe.yml": published.recipe.to_yaml().encode(),
        "metrics.json": f"{json.dumps(numbers, indent=2)}\n".encode(),
        "README.md": write_model_card(published, metrics, model, str(target), license_id).encode(),
    }
    message = f"Push {record.recipe.model}, trained on {record.recipe.dataset} with keras_cct"
    return target.upload(files, message, private=private)


def without_folders(recipe: Recipe) -> Recipe:
    """Returns a recipe with absolute paths reduced to their last component, so that it reveals no folders."""
    values = dataclasses.asdict(recipe)
    paths = {key: value for key, value in values.items() if isinstance(value, str) and Path(value).is_absolute()}
    return dataclasses.replace(recipe, **{key: Path(path).name for key, path in paths.items()})


def _check_finished(record: RunRecord) -> None:
    epoch, total = record.rows[-1]["epoch"], record.recipe.total_epochs
    if epoch < total and not is_exhausted(record.rows, record.recipe):
        path = record.folder.path
        raise InputError(
            f"the run {str(path)!r} has trained {epoch} of {total} epochs. Finish it with "
            f"`keras_cct train --resume {path}`."
        )


def _measure(record: RunRecord, progress: Progress) -> RunMetrics | None:
    try:
        return measure_run(record, progress)
    except InputError as error:
        log.warning("the model card has only the metrics of the training: %s", error)
        return None
