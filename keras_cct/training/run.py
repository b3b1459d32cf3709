"""One training run, from a recipe to a folder with the model in it."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import keras

from keras_cct.data.augment.plan import Augmentation, AugmentationPlan
from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import evaluation_batches, training_batches
from keras_cct.data.sources.open import open_data
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError
from keras_cct.export.saved_model import export_saved_model
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.callbacks import AverageEvaluation, FiniteLoss, StateSaver, Summary
from keras_cct.training.checkpoints import Checkpoints, best_epochs
from keras_cct.training.devices import Distribution, choose_precision, local_distribution
from keras_cct.training.folder import RunFolder
from keras_cct.training.loggers import Progress, check_wandb, draw_curves, event_writer, wandb_writer
from keras_cct.training.setup import check_recipe, create_recipe_model, create_training_model, input_shape
from keras_cct.training.state import Facts, Row, RunState
from keras_cct.weights.formats import read_keras_file

log = logging.getLogger(__name__)

CHANGEABLE = ("epochs", "cooldown_epochs", "data_dir", "workers", "checkpoint_hist", "recovery_interval")
"""Keys whose values may change while a run is stopped."""


def train(recipe: Recipe, output: str | PathLike, log_wandb: bool = False) -> RunFolder:
    """Trains a model on all devices of this machine, evaluates it every epoch, and exports the best one.

    Args:
        recipe: What to train, on what and how.
        output: Folder for the run, new or empty.
        log_wandb: Whether to send the metrics to Weights & Biases.

    Returns:
        The run folder: recipe.yml, summary.csv, best.keras, last.keras, checkpoints, state.npz, tensorboard,
        curves.png and saved_model.

    Raises:
        InputError: The recipe or the folder cannot be used, and nothing has been trained then; or the loss is no
            number any more, or the disk is full, and `resume` goes on from what was saved before.
    """
    if log_wandb:
        check_wandb()
    RunFolder.check_is_free(Path(output))
    run = _Run.prepare(recipe)
    folder = RunFolder.create(Path(output))
    folder.write_recipe(recipe.to_yaml())
    return _finish(recipe, run.fit(folder, None, log_wandb), folder)


def resume(path: str | PathLike, log_wandb: bool = False, **overrides) -> RunFolder:
    """Goes on with a run that was stopped, from the last state that it saved, or from its start if it saved none.

    On a processor the result is that of a run that was never stopped, to the last bit; with PyTorch, up to rounding.

    Args:
        path: The run folder.
        log_wandb: Whether to send the metrics to Weights & Biases.
        **overrides: Keys of the recipe to change: epochs, cooldown_epochs, data_dir, workers, checkpoint_hist,
            recovery_interval.

    Returns:
        The run folder.

    Raises:
        InputError: The folder is of no run, of another model or finished, or a key cannot be changed.
    """
    if log_wandb:
        check_wandb()
    folder = RunFolder.open(Path(path))
    recipe = _changed_recipe(folder, overrides)
    state = RunState.read(folder.state) if folder.state.exists() else None
    is_trained = state is not None and state.epoch >= recipe.total_epochs
    if is_trained and folder.saved_model.exists():
        raise InputError(f"the run in {str(path)!r} has finished its {state.epoch} epochs. Give more epochs.")
    folder.remove_partial_files()
    if is_trained:
        return _finish(recipe, state.rows, folder)
    run = _Run.prepare(recipe)
    if state is not None:
        state.check_data(run.data_facts)
        state.restore(run.model)
    folder.remove_results()
    folder.write_recipe(recipe.to_yaml())
    return _finish(recipe, run.fit(folder, state, log_wandb), folder)


def _changed_recipe(folder: RunFolder, overrides: dict[str, object]) -> Recipe:
    before, recipe = load_recipe(folder.recipe), load_recipe(folder.recipe, **overrides)
    for key in overrides:
        if key in CHANGEABLE:
            continue
        old, new = getattr(before, key), getattr(recipe, key)
        if old != new:
            raise InputError(
                f"the run in {str(folder.path)!r} has {key}={old!r} and cannot go on with {new!r}. Leave {key} out, "
                f"or begin a new run."
            )
    return recipe


def _finish(recipe: Recipe, rows: list[Row], folder: RunFolder) -> RunFolder:
    best = next(row for row in rows if row["epoch"] == best_epochs(rows, recipe.eval_metric)[0])
    folder.remove_results()
    draw_curves(rows, f"{recipe.model} on {recipe.dataset}", folder.curves)
    export_saved_model(read_keras_file(folder.best_model), folder.saved_model)
    log.info(
        "best top-1 %.2f %% in epoch %d; SavedModel in %s", best["eval_top1"], best["epoch"] + 1, folder.saved_model
    )
    return folder


@dataclasses.dataclass(frozen=True)
class _Run:
    """A run that is ready to train, before its folder is made."""

    recipe: Recipe
    train_data: ImageSet
    eval_data: ImageSet
    plan: AugmentationPlan
    distribution: Distribution
    model: keras.Model
    portrait: keras.Model

    @classmethod
    def prepare(cls, recipe: Recipe) -> "_Run":
        distribution = local_distribution()
        batch_size = recipe.batch_size * distribution.num_devices
        augmentation = Augmentation.from_recipe(recipe)
        augmentation.check_batch_size(batch_size)
        check_recipe(recipe)
        train_data, eval_data = open_data(recipe)
        plan = augmentation.for_images(input_shape(recipe, train_data), batch_size)
        precision = choose_precision(recipe, distribution)
        if precision.reason:
            log.info("%s", precision.reason)
        portrait = create_recipe_model(recipe, train_data)
        keras.utils.set_random_seed(recipe.seed)
        with distribution.scope(), _dtype_policy(precision.policy):
            model = create_training_model(recipe, train_data)
        run = cls(recipe, train_data, eval_data, plan, distribution, model, portrait)
        if run.batch_size > len(train_data):
            raise InputError(
                f"a batch of {run.batch_size} images is larger than the {len(train_data)} of the set. Lower batch_size."
            )
        return run

    @property
    def batch_size(self) -> int:
        return self.plan.batch_size

    @property
    def data_facts(self) -> Facts:
        """What must not change while the run is stopped."""
        return {
            "classes": list(self.train_data.class_names),
            "number of images": len(self.train_data),
            "images per step": self.batch_size,
        }

    @property
    def steps_per_epoch(self) -> int:
        return len(self.train_data) // self.batch_size

    def training_batches(self, first_step: int):
        """Returns the batches of all epochs from a step on."""
        return training_batches(self.train_data, self.recipe, self.plan, first_step)

    def evaluation_batches(self):
        """Returns the batches of an evaluation."""
        batch_size = self.batch_size * self.recipe.validation_batch_size_multiplier
        return evaluation_batches(self.eval_data, self.recipe, self.plan.image_shape, batch_size)

    def fit(self, folder: RunFolder, state: RunState | None, log_wandb: bool) -> list[Row]:
        """Trains from a state, or from the start, and returns the rows of summary.csv."""
        epoch, step = (0, 0) if state is None else (state.epoch, state.step)
        self._log_start(folder, epoch, step)
        summary = self._summary(folder, state, log_wandb)
        callbacks = self._callbacks(folder, state, summary)
        reading = raising_input_errors(self.train_data, self.eval_data)
        with self.distribution.scope(), _explained_write_errors(folder), reading:
            if step > 0:
                self._fit_epochs(epoch, epoch + 1, step, callbacks)
                epoch += 1
            if epoch < self.recipe.total_epochs:
                self._fit_epochs(epoch, self.recipe.total_epochs, 0, callbacks)
        return summary.rows

    def _fit_epochs(self, epoch: int, end: int, step: int, callbacks: list[keras.callbacks.Callback]) -> None:
        first_step = epoch * self.steps_per_epoch + step
        self.model.fit(
            self.training_batches(first_step),
            initial_epoch=epoch,
            epochs=end,
            steps_per_epoch=self.steps_per_epoch - step,
            validation_data=self.evaluation_batches(),
            shuffle=False,
            callbacks=callbacks,
            verbose=0,
        )

    def _summary(self, folder: RunFolder, state: RunState | None, log_wandb: bool) -> Summary:
        listeners = [event_writer(folder.events)]
        if log_wandb:
            listeners.append(wandb_writer(folder, dataclasses.asdict(self.recipe)))
        return Summary(folder, self.batch_size, [] if state is None else state.rows, listeners)

    def _callbacks(self, folder: RunFolder, state: RunState | None, summary: Summary) -> list[keras.callbacks.Callback]:
        """Returns what happens at the end of steps and epochs, in this order."""
        recipe, num_steps = self.recipe, self.steps_per_epoch
        learning_rates = recipe.learning_rates()
        averages = [AverageEvaluation(self.evaluation_batches())] if recipe.model_ema else []
        interval = recipe.recovery_interval or num_steps
        return [
            FiniteLoss(folder),
            keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch]),
            *averages,
            summary,
            Checkpoints(folder, summary, self.portrait, recipe.eval_metric, recipe.checkpoint_hist),
            Progress(recipe.total_epochs, num_steps, self.batch_size, 0 if state is None else state.step),
            StateSaver(folder, summary, range(interval, num_steps, interval), self.data_facts, state),
        ]

    def _log_start(self, folder: RunFolder, epoch: int, step: int) -> None:
        recipe, model = self.recipe, self.model
        log.info(
            "training %s (%s parameters) on %s",
            recipe.model,
            f"{model.count_params():,}",
            self.distribution.description,
        )
        log.info("%d images per step; learning rate up to %g; writing to %s", self.batch_size, recipe.lr, folder.path)
        log.info("pixels normalized with mean %s and std %s", _words(recipe.mean), _words(recipe.std))
        if (epoch, step) != (0, 0):
            log.info("going on after %d epochs and %d steps", epoch, step)


def _words(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _explained_write_errors(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {str(error.filename or folder.path)!r}: {error.strerror or error}. What was saved before is "
            f"whole; make room, then go on with --resume {folder.path}."
        ) from error
