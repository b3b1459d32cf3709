"""Averages the weights of the best checkpoints of a run."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cct.data.images import ImageSet
from keras_cct.data.pipeline import evaluation_batches
from keras_cct.data.sources.open import open_data
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.files import reading, replacing
from keras_cct.inference.artifacts import saved_split
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.checkpoints import best_epochs
from keras_cct.training.folder import RunFolder
from keras_cct.weights.formats import read_keras_file


@dataclasses.dataclass(frozen=True)
class WeightAverage:
    """The average of several checkpoints, compared with the best of them on the evaluation images.

    Args:
        epochs: The epochs of the checkpoints, from best to worst.
        metric: The recipe's `eval_metric`: "top1" or "top5", in percent, or "loss".
        best: Value of the metric of the best checkpoint.
        average: Value of the metric of the average.
        path: The file of the average; None if it is not better than the best checkpoint and was not kept.
    """

    epochs: tuple[int, ...]
    metric: str
    best: float
    average: float
    path: Path | None

    def lines(self) -> list[str]:
        """Returns the comparison in words, for a log."""
        name = {"top1": "top-1", "top5": "top-5", "loss": "loss"}[self.metric]
        digits, unit = (4, "") if self.metric == "loss" else (2, " %")
        return [
            f"best checkpoint, epoch {self.epochs[0]}: {name} {self.best:.{digits}f}{unit}",
            f"average of epochs {', '.join(map(str, self.epochs))}: {name} {self.average:.{digits}f}{unit}",
            "not kept: the average is not better than the best checkpoint"
            if self.path is None
            else f"wrote {self.path}",
        ]


def average_checkpoints(run: str | PathLike, top: int | None = None) -> WeightAverage:
    """Averages the weights of the best checkpoints of a run, and keeps the average if it is better than all of them.

    The average and the best checkpoint are evaluated in float32 on the evaluation images of the run. If the average is
    better by the recipe's `eval_metric`, it is saved as `average.keras` in the run folder.

    Args:
        run: The run folder.
        top: Number of checkpoints, at least 2; None for all that the run kept (`checkpoint_hist`).

    Raises:
        InputError: The folder is not a run folder, its checkpoints are missing, have different architectures or cannot
            be read, or its images cannot be opened.

    Reference: Wortsman et al. 2022, arXiv:2203.05482.
    """
    check_setting("run", run, isinstance(run, str | PathLike), "the path of a run folder")
    folder = RunFolder.open(Path(run))
    if top is not None and check_count("top", top) < 2:
        raise InputError(f"top must be at least 2, got {top}.")
    recipe = load_recipe(folder.recipe)
    epochs = kept_epochs(folder, recipe)[:top]
    if len(epochs) < max(2, top or 0):
        raise InputError(
            f"the run {str(folder.path)!r} has {len(epochs)} checkpoints, but an average needs {max(2, top or 0)}. "
            f"Train with a larger checkpoint_hist."
        )
    _, data = open_data(recipe, saved_split(folder.path))
    return average_epochs(folder, recipe, data, epochs)


def average_epochs(folder: RunFolder, recipe: Recipe, data: ImageSet, epochs: Sequence[int]) -> WeightAverage:
    """Averages the checkpoints of some epochs, as `average_checkpoints` describes it.

    Args:
        folder: The run folder.
        recipe: Its recipe.
        data: Its evaluation images.
        epochs: At least two epochs, from best to worst.
    """
    model = read_keras_file(folder.checkpoint(epochs[0]))
    average = _mean_weights([folder.checkpoint(epoch) for epoch in epochs])
    evaluate = _evaluator(model, data, recipe)
    best_value = evaluate()
    model.set_weights(average)
    value = evaluate()
    is_better = value < best_value if recipe.eval_metric == "loss" else value > best_value
    if is_better:
        with replacing(folder.average_model) as temporary:
            model.save(temporary)
    return WeightAverage(
        tuple(epochs), recipe.eval_metric, best_value, value, folder.average_model if is_better else None
    )


def kept_epochs(folder: RunFolder, recipe: Recipe) -> list[int]:
    """Returns the epochs whose checkpoints exist, from best to worst."""
    if not folder.summary.is_file():
        raise InputError(f"the run {str(folder.path)!r} has no {folder.summary.name}. Train at least two epochs.")
    with reading(folder.summary, "the summary of a run"), folder.summary.open(newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        ranking = best_epochs(rows, recipe.eval_metric)
    return [epoch for epoch in ranking if folder.checkpoint(epoch).is_file()]


def _mean_weights(paths: Sequence[Path]) -> list[np.ndarray]:
    """Returns the mean of the weights in `.keras` files, summed in float64."""
    sums: dict[str, np.ndarray] = {}
    for path in paths:
        weights = {w.path: np.asarray(keras.ops.convert_to_numpy(w)) for w in read_keras_file(path).weights}
        shapes = {name: array.shape for name, array in weights.items()}
        if sums and shapes != {name: array.shape for name, array in sums.items()}:
            raise InputError(f"{str(path)!r} has another architecture than {str(paths[0])!r}. Remove it from the run.")
        sums = {name: sums.get(name, 0.0) + array.astype("float64") for name, array in weights.items()}
    return [(total / len(paths)).astype("float32") for total in sums.values()]


def _evaluator(model: keras.Model, data: ImageSet, recipe: Recipe) -> Callable[[], float]:
    """Returns a function that evaluates the recipe's `eval_metric` of a model; accuracies in percent."""
    # Compiled instead of the model, which is saved without a loss. Untyped, because Keras's types are too narrow.
    evaluated: Any = keras.Model(model.input, model.output)
    evaluated.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="top1"),
            keras.metrics.TopKCategoricalAccuracy(k=min(5, len(data.class_names)), name="top5"),
        ],
    )
    batch_size = recipe.batch_size * recipe.validation_batch_size_multiplier
    batches: Any = evaluation_batches(data, recipe, model.input_shape[1:], batch_size)

    def evaluate() -> float:
        with raising_input_errors(data):
            value = evaluated.evaluate(batches, verbose=0, return_dict=True)[recipe.eval_metric]
        if not np.isfinite(value):
            raise InputError(f"the {recipe.eval_metric} of the run's model is {value}. Its training may have diverged.")
        return float(value) * (1 if recipe.eval_metric == "loss" else 100)

    return evaluate
