"""Stops a run that no longer gets better."""

import logging
from typing import Any

import keras

from keras_cct.recipe.recipe import Recipe
from keras_cct.training.callbacks import EpochMetrics, Summary
from keras_cct.training.checkpoints import best_epochs

log = logging.getLogger(__name__)


def is_exhausted(rows: list[EpochMetrics], recipe: Recipe) -> bool:
    """Returns whether the last `early_stopping` epochs were not better than the best epoch before them.

    It depends on the rows of summary.csv only, so that a resumed run stops at the same epoch.

    Args:
        rows: The rows of summary.csv.
        recipe: `early_stopping`, 0 for no early stopping, and `eval_metric`.
    """
    if not recipe.early_stopping or not rows:
        return False
    return rows[-1]["epoch"] - best_epochs(rows, recipe.eval_metric)[0] >= recipe.early_stopping


class EarlyStopping(keras.callbacks.Callback):
    """Ends training when `is_exhausted` says so.

    Args:
        summary: The callback with the rows; it must come before this one.
        recipe: `early_stopping` and `eval_metric`.
    """

    def __init__(self, summary: Summary, recipe: Recipe) -> None:
        super().__init__()
        self.summary = summary
        self.recipe = recipe

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if is_exhausted(self.summary.rows, self.recipe):
            log.info(
                "%s has not improved for %d epochs: stopping early", self.recipe.eval_metric, self.recipe.early_stopping
            )
            model: Any = self.model
            model.stop_training = True
