"""Saves the models of the last epoch, of the best epoch, and of the `checkpoint_hist` best epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cct.files import replacing
from keras_cct.training.callbacks import EpochMetrics, Summary, averages_of
from keras_cct.training.folder import RunFolder
from keras_cct.weights.hdf5 import keras_file_bytes


def ranked_rows(rows: Sequence[EpochMetrics], eval_metric: str) -> list[EpochMetrics]:
    """Returns the rows of the epochs from best to worst.

    Small evaluation sets give many epochs the same accuracy; of these, the one with the lowest evaluation loss comes
    first, and of equal ones the earlier one.

    Args:
        rows: The rows of summary.csv.
        eval_metric: "top1" or "top5", higher is better, or "loss", lower is better.
    """
    sign = 1 if eval_metric == "loss" else -1
    return sorted(rows, key=lambda row: (sign * row[f"eval_{eval_metric}"], row["eval_loss"], row["epoch"]))


def best_epochs(rows: Sequence[EpochMetrics], eval_metric: str) -> list[int]:
    """Returns the epochs from best to worst, as `ranked_rows` does."""
    return [int(row["epoch"]) for row in ranked_rows(rows, eval_metric)]


class Checkpoints(keras.callbacks.Callback):
    """Saves the model after every epoch, and deletes those that are no longer among the best.

    Saved models have float32 weights and no optimizer. With `model_ema`, they have the averaged weights, and the raw
    weights are saved beside them, with "-raw" in the file name.

    Args:
        folder: The run folder.
        summary: The callback with the rows that rank the epochs; it must come before this one.
        plain_model: An uncompiled float32 model of the same architecture, through which weights are saved.
        eval_metric: The metric that ranks the epochs.
        checkpoint_hist: Number of best epochs to keep.
    """

    def __init__(
        self, folder: RunFolder, summary: Summary, plain_model: keras.Model, eval_metric: str, checkpoint_hist: int
    ) -> None:
        super().__init__()
        self.folder = folder
        self.summary = summary
        self.plain_model = plain_model
        self.eval_metric = eval_metric
        self.checkpoint_hist = checkpoint_hist

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        number, ranking = epoch + 1, best_epochs(self.summary.rows, self.eval_metric)
        paths = [self.folder.last_model]
        if ranking[0] == number:
            paths.append(self.folder.best_model)
        if number in ranking[: self.checkpoint_hist]:
            self.folder.checkpoints.mkdir(exist_ok=True)
            paths.append(self.folder.checkpoint(number))
        self._save(paths)
        for dropped in ranking[self.checkpoint_hist :]:
            for path in (self.folder.checkpoint(dropped), raw_path(self.folder.checkpoint(dropped))):
                path.unlink(missing_ok=True)

    def _save(self, paths: list[Path]) -> None:
        model: Any = self.model
        weights = {weight.path: weight for weight in model.weights}
        averages = averages_of(model)
        if averages:
            trainable = [weight.path for weight in model.trainable_weights]
            self._write(weights, [raw_path(path) for path in paths])
            weights |= dict(zip(trainable, averages, strict=True))
        self._write(weights, paths)

    def _write(self, weights: dict[str, keras.Variable], paths: list[Path]) -> None:
        for weight in self.plain_model.weights:
            weight.assign(keras.ops.convert_to_numpy(weights[weight.path]))
        content = keras_file_bytes(self.plain_model)
        for path in paths:
            with replacing(path) as temporary:
                temporary.write_bytes(content)


def raw_path(path: Path) -> Path:
    """Returns the path of the raw weights that belong to a model with averaged weights."""
    return path.with_name(f"{path.stem}-raw{path.suffix}")
