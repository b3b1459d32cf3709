"""Trains a prepared run: the callbacks, the epochs, and what is logged at the start."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import keras

from keras_cct.cluster.callbacks import EpochBarrier, Watchdog
from keras_cct.cluster.link import Link
from keras_cct.data.images import RecordImages
from keras_cct.data.pipeline import balanced_class_weights
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError
from keras_cct.training.callbacks import AverageEvaluation, EpochMetrics, FiniteLossCheck, Summary, UnpaddedLoss
from keras_cct.training.checkpoints import Checkpoints
from keras_cct.training.early_stopping import EarlyStopping, is_exhausted
from keras_cct.training.folder import RunFolder
from keras_cct.training.loggers import Progress, event_writer, wandb_writer
from keras_cct.training.prepared_run import PreparedRun
from keras_cct.training.state import EpochSeeder, StateRestorer, StateSaver
from keras_cct.training.termination import SharedTerminationRequest, TerminationRequest, deferring_termination

log = logging.getLogger(__name__)


def fit(run: PreparedRun, folder: RunFolder, log_wandb: bool, link: Link | None = None) -> list[EpochMetrics]:
    """Trains and returns the rows of summary.csv.

    Args:
        run: The run.
        folder: The run folder; only process 0 writes to it.
        log_wandb: Whether to send the metrics to Weights & Biases.
        link: The other processes, if there are any.
    """
    _log_start(run, folder)
    with _explained_os_errors(folder):
        summary = _create_summary(run, folder, log_wandb)
    epoch, step = run.start
    reading = raising_input_errors(run.train_data, run.eval_data)
    with run.distribution.scope(), _explained_os_errors(folder), reading, _ending_together(link) as ending:
        termination, of_processes = ending
        callbacks = create_callbacks(run, folder, summary, termination, of_processes)
        if step > 0:
            _fit_epochs(run, epoch, epoch + 1, step, callbacks)
            epoch += 1
        if epoch < run.recipe.total_epochs and not is_exhausted(summary.rows, run.recipe):
            _fit_epochs(run, epoch, run.recipe.total_epochs, 0, callbacks)
    return summary.rows


def _fit_epochs(run: PreparedRun, epoch: int, end: int, step: int, callbacks: list[keras.callbacks.Callback]) -> None:
    first_step = epoch * run.steps_per_epoch + step
    run.model.fit(
        run.training_batches(first_step),
        initial_epoch=epoch,
        epochs=end,
        steps_per_epoch=run.steps_per_epoch - step,
        validation_data=run.evaluation_batches(),
        shuffle=False,
        callbacks=callbacks,
        verbose=0,
    )


def _create_summary(run: PreparedRun, folder: RunFolder, log_wandb: bool) -> Summary:
    rows = [] if run.state is None else run.state.rows
    if not run.distribution.is_first_process:
        return Summary(None, run.batch_size, rows, [])
    listeners = [event_writer(folder.events)]
    if log_wandb:
        listeners.append(wandb_writer(folder, dataclasses.asdict(run.recipe)))
    return Summary(folder, run.batch_size, rows, listeners)


def create_callbacks(
    run: PreparedRun,
    folder: RunFolder,
    summary: Summary,
    termination: TerminationRequest,
    of_processes: list[keras.callbacks.Callback],
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks, in the order in which they run; those that keep processes together come last."""
    recipe, num_steps = run.recipe, run.steps_per_epoch
    learning_rates, (_, first_step) = recipe.learning_rates(), run.start
    interval = recipe.recovery_interval or num_steps
    saved_steps = range(interval, num_steps, interval)
    writes, pads = run.distribution.is_first_process, run.distribution.pads_evaluation
    checkpoints = Checkpoints(folder, summary, run.plain_model, recipe.eval_metric, recipe.checkpoint_hist)
    progress = Progress(recipe.total_epochs, num_steps, run.batch_size, first_step, len(run.train_data.class_names))
    state_file = folder.state if writes else None
    return [
        *([EpochSeeder(recipe.seed)] if keras.backend.backend() == "torch" else []),
        *([] if run.state is None else [StateRestorer(run.state)]),
        FiniteLossCheck(folder),
        keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch]),
        *([AverageEvaluation(run.evaluation_batches(), of_processes)] if recipe.model_ema else []),
        *([UnpaddedLoss(len(run.eval_data), run.eval_batch_size)] if pads else []),
        summary,
        *([checkpoints] if writes else []),
        EarlyStopping(summary, recipe),
        *([progress] if writes else []),
        StateSaver(state_file, summary, saved_steps, num_steps, first_step, termination),
        *of_processes,
    ]


def _log_start(run: PreparedRun, folder: RunFolder) -> None:
    recipe, model = run.recipe, run.model
    log.info(
        "training %s (%s parameters) on %s",
        recipe.model,
        f"{model.count_params():,}",
        run.distribution.description,
    )
    log.info(
        "%s%d training and %d evaluation images of %d classes",
        f"fold {recipe.fold} of {recipe.folds}: " if recipe.folds else "",
        len(run.train_data),
        len(run.eval_data),
        len(run.train_data.class_names),
    )
    if recipe.class_weights and not isinstance(run.train_data, RecordImages):
        weights, names = balanced_class_weights(run.train_data), run.train_data.class_names
        low, high = weights.argmin(), weights.argmax()
        log.info("class weights from %.3g (%s) to %.3g (%s)", weights[low], names[low], weights[high], names[high])
    log.info(
        "%d images per step; learning rate up to %g; writing to %s",
        run.batch_size,
        max(recipe.learning_rates()),
        folder.path,
    )
    if recipe.warmup_epochs >= recipe.epochs:
        log.warning(
            "warmup_epochs=%d is not below epochs=%d: the learning rate never reaches lr=%g",
            recipe.warmup_epochs,
            recipe.epochs,
            recipe.lr,
        )
    log.info("pixels normalized with mean %s and std %s", _listed(recipe.mean), _listed(recipe.std))
    if run.start != (0, 0):
        log.info("resuming after %d epochs and %d steps", *run.start)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@contextlib.contextmanager
def _ending_together(link: Link | None) -> Iterator[tuple[TerminationRequest, list[keras.callbacks.Callback]]]:
    """Yields the request to end early, and the callbacks that keep processes together."""
    if link is None:
        with deferring_termination() as termination:
            yield termination, []
        return
    with Watchdog.of(link) as watchdog:
        yield SharedTerminationRequest(), [EpochBarrier(link), watchdog]


@contextlib.contextmanager
def _explained_os_errors(folder: RunFolder) -> Iterator[None]:
    """Replaces errors of the file system by an InputError that says which file cannot be written or read."""
    try:
        yield
    except OSError as error:
        path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
        if path is None:
            problem = "training stopped"
        elif Path(path).absolute().is_relative_to(folder.path.absolute()):
            problem = f"cannot write {path!r}"
        else:
            problem = f"cannot read {path!r}"
        raise InputError(
            f"{problem}: {error.strerror or error}. Fix this, then continue with --resume {folder.path}; all files "
            f"saved before are intact."
        ) from error
