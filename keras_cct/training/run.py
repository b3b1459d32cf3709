"""One training run, from a recipe to a folder with the trained model."""

import contextlib
import logging
from os import PathLike
from pathlib import Path
from typing import Any

from keras_cct.cluster.settings import Cluster, is_first_process
from keras_cct.data.images import ImageSet
from keras_cct.data.sources.open import open_data
from keras_cct.errors import InputError, check_instance, check_path
from keras_cct.export.saved_model import export_saved_model
from keras_cct.inference.artifacts import saved_split
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.average import average_epochs, kept_epochs
from keras_cct.training.callbacks import EpochMetrics
from keras_cct.training.checkpoints import ranked_rows
from keras_cct.training.early_stopping import is_exhausted
from keras_cct.training.environment import describe_environment, write_environment
from keras_cct.training.folder import RunFolder
from keras_cct.training.lock import locked
from keras_cct.training.loggers import check_wandb, draw_curves
from keras_cct.training.prepared_run import PreparedRun
from keras_cct.training.processes import joined_if_any
from keras_cct.training.setup import with_absolute_paths
from keras_cct.training.state import RunState
from keras_cct.training.training_loop import fit
from keras_cct.weights.formats import read_keras_file

log = logging.getLogger(__name__)

CHANGEABLE_KEYS = (
    *("epochs", "cooldown_epochs", "early_stopping"),
    *("data_dir", "workers", "checkpoint_hist", "average_best", "recovery_interval"),
    "checkpoint_activations",
)
"""Recipe keys whose values may change when a run is resumed."""


def train(
    recipe: Recipe,
    output: str | PathLike,
    log_wandb: bool = False,
    *,
    trust: bool = False,
    devices: str = "all",
    cluster: Cluster | None = None,
) -> RunFolder:
    """Trains a model on one machine or on a cluster, evaluates it every epoch, and exports the best one.

    On SIGTERM, it saves the state after the current step and ends the process with exit code 143.

    Args:
        recipe: The recipe.
        output: Folder for the run, new or empty. Of a cluster, only process 0 uses it.
        log_wandb: Whether to send the metrics to Weights & Biases.
        trust: Whether `.keras` files of initial weights and of a teacher may contain layers of other packages, and so
            run any code.
        devices: "all"; "cpu", although there are accelerators; or the number of devices of this process, such as "2".
        cluster: The processes that train together, with JAX; None for this one. If another process ends, this one ends
            with exit code 75.

    Returns:
        The run folder: recipe.yml, data.npz, environment.json, summary.csv, best.keras, last.keras, checkpoints,
        state.npz, tensorboard, curves.png and saved_model.

    Raises:
        InputError: The recipe or the folder cannot be used, or the processes of the cluster cannot be connected or
            differ; nothing is written in this case. Or the loss became NaN or infinite, or a file cannot be written;
            `resume` then continues from the last saved state.
    """
    check_instance("recipe", recipe, Recipe, "a Recipe")
    check_path("output", output)
    path, is_first = Path(output), is_first_process(cluster)
    if is_first:
        if log_wandb:
            check_wandb()
        RunFolder.check_is_free(path)
    recipe = with_absolute_paths(recipe)
    with contextlib.ExitStack() as resources:
        with joined_if_any(cluster, recipe, path) as link:
            run = PreparedRun.prepare(recipe, trust=trust, devices=devices)
            if link is not None:
                link.agree("data", run.shared_facts())
            folder = RunFolder.create(path) if is_first else RunFolder(path)
            if is_first:
                resources.enter_context(locked(folder.path))
                run.write_inputs(folder)
                write_environment(folder.environment, describe_environment(run.distribution.description))
            rows = fit(run, folder, log_wandb, link)
        return _finish(recipe, rows, folder, run.eval_data) if is_first else folder


def resume(
    path: str | PathLike,
    log_wandb: bool = False,
    allow_changed_data: bool = False,
    *,
    trust: bool = False,
    devices: str = "all",
    cluster: Cluster | None = None,
    **overrides: Any,
) -> RunFolder:
    """Resumes an interrupted run from its last saved state, or from its start if there is none.

    On CPU the result is bit-identical to that of an uninterrupted run; with PyTorch, or on another number of devices or
    processes, it is equal up to rounding. The number of images per step stays that of the saved state.

    Args:
        path: The run folder, which all processes of a cluster must be able to read.
        log_wandb: Whether to send the metrics to Weights & Biases.
        allow_changed_data: Whether to resume although the images, their labels or their files have changed. The
            interrupted epoch then starts again, with the saved weights.
        trust: Whether `.keras` files of initial weights and of a teacher may contain layers of other packages, and so
            run any code.
        devices: "all"; "cpu", although there are accelerators; or the number of devices of this process, such as "2".
        cluster: The processes that train together, with JAX; None for this one. If another process ends, this one ends
            with exit code 75.
        **overrides: Recipe keys to change: epochs, cooldown_epochs, early_stopping, data_dir, workers,
            checkpoint_hist, average_best, recovery_interval, checkpoint_activations.

    Returns:
        The run folder.

    Raises:
        InputError: The folder is not a run folder or in use by another process, the run has finished, its state belongs
            to another model, its data or its teacher has changed, a key cannot be changed, or the processes of the
            cluster cannot be connected or differ.
    """
    check_path("path", path)
    folder = RunFolder.open(Path(path))
    if is_first_process(cluster):
        if log_wandb:
            check_wandb()
        with locked(folder.path):
            return _resume(folder, overrides, log_wandb, allow_changed_data, trust, devices, cluster)
    return _resume(folder, overrides, log_wandb, allow_changed_data, trust, devices, cluster)


def _resume(
    folder: RunFolder,
    overrides: dict[str, Any],
    log_wandb: bool,
    allow_changed_data: bool,
    trust: bool,
    devices: str,
    cluster: Cluster | None,
) -> RunFolder:
    recipe = _changed_recipe(folder, overrides)
    is_first = is_first_process(cluster)
    state = RunState.read(folder.state) if folder.state.exists() else None
    if state is not None and (state.epoch >= recipe.total_epochs or is_exhausted(state.rows, recipe)):
        return _finish_again(folder, recipe, state) if is_first else folder
    split_file = saved_split(folder.path)
    with joined_if_any(cluster, recipe, folder.path) as link:
        if is_first:
            folder.remove_partial_files()
        run = PreparedRun.prepare(recipe, state, split_file, folder.index, trust=trust, devices=devices)
        run = run.with_known_data(folder, allow_changed_data)
        if link is not None:
            link.agree("data", run.shared_facts())
        if is_first:
            folder.remove_results()
            run.write_inputs(folder)
        rows = fit(run, folder, log_wandb, link)
    return _finish(recipe, rows, folder, run.eval_data) if is_first else folder


def _finish_again(folder: RunFolder, recipe: Recipe, state: RunState) -> RunFolder:
    """Writes what a run that has trained all its epochs lacks because it was interrupted after them."""
    if folder.saved_model.exists():
        key = "epochs" if state.epoch >= recipe.total_epochs else "early_stopping"
        raise InputError(
            f"the run in {str(folder.path)!r} has finished its {state.epoch} epochs. "
            f"Set {key} to more than {getattr(recipe, key)} to continue it."
        )
    folder.remove_partial_files()
    data = open_data(recipe, saved_split(folder.path))[1] if recipe.average_best else None
    return _finish(recipe, state.rows, folder, data)


def _changed_recipe(folder: RunFolder, overrides: dict[str, Any]) -> Recipe:
    before = load_recipe(folder.recipe)
    recipe = with_absolute_paths(load_recipe(folder.recipe, **overrides))
    for key in overrides:
        if key in CHANGEABLE_KEYS:
            continue
        old, new = getattr(before, key), getattr(recipe, key)
        if old != new:
            raise InputError(
                f"the run in {str(folder.path)!r} has {key}={old!r} and cannot be resumed with {new!r}. Leave {key} "
                f"out, or start a new run."
            )
    return recipe


def _finish(recipe: Recipe, rows: list[EpochMetrics], folder: RunFolder, eval_data: ImageSet | None) -> RunFolder:
    """Writes what describes the whole run. The evaluation images are needed with `average_best` only."""
    best = ranked_rows(rows, recipe.eval_metric)[0]
    folder.remove_results()
    if recipe.average_best and eval_data is not None:
        _average_best(recipe, folder, eval_data)
    model = read_keras_file(folder.best_model)
    draw_curves(rows, f"{recipe.model} on {recipe.dataset}", folder.curves, model.output_shape[-1])
    export_saved_model(model, folder.saved_model)
    log.info(
        "best epoch %d of %d: validation top-1 %.2f %%; models, metrics and curves are in %s",
        best["epoch"],
        len(rows),
        best["eval_top1"],
        folder.path,
    )
    log.info(
        "next: `keras_cct predict %s IMAGE ...`, `keras_cct evaluate %s`, `keras_cct export %s model.onnx "
        "--format onnx`",
        *[folder.path] * 3,
    )
    return folder


def _average_best(recipe: Recipe, folder: RunFolder, eval_data: ImageSet) -> None:
    epochs = kept_epochs(folder, recipe)[: recipe.average_best]
    if len(epochs) < 2:
        log.warning(
            "average_best=%d has no effect: averaging needs 2 checkpoints, the run has %d",
            recipe.average_best,
            len(epochs),
        )
        return
    for line in average_epochs(folder, recipe, eval_data, epochs).lines():
        log.info("%s", line)
