"""The models that a run keeps: the last, the best, and those of the best epochs."""

from pathlib import Path

import keras

from keras_cct.files import replacing
from keras_cct.training.callbacks import Summary, average_of
from keras_cct.training.folder import RunFolder
from keras_cct.training.state import Row


def best_epochs(rows: list[Row], eval_metric: str) -> list[int]:
    """Returns the epochs, the best first; of equal ones the earlier first.

    Args:
        rows: The rows of summary.csv.
        eval_metric: "top1" or "top5", of which more is better, or "loss".
    """
    sign = 1 if eval_metric == "loss" else -1
    return [row["epoch"] for row in sorted(rows, key=lambda row: (sign * row[f"eval_{eval_metric}"], row["epoch"]))]


class Checkpoints(keras.callbacks.Callback):
    """Saves the model after every epoch, and keeps those of the best epochs.

    Saved models have float32 weights and no optimizer. Where a moving average is kept the model is its, and the raw
    weights' lies beside it, with "-raw" in its name.

    Args:
        folder: The run folder.
        summary: The rows that tell which epochs are best; a callback before this one.
        portrait: A model of the same architecture, not compiled, to save the weights in.
        eval_metric: What the best epoch is best in.
        checkpoint_hist: Number of best epochs to keep.
    """

    def __init__(
        self, folder: RunFolder, summary: Summary, portrait: keras.Model, eval_metric: str, checkpoint_hist: int
    ):
        super().__init__()
        self.folder = folder
        self.summary = summary
        self.portrait = portrait
        self.eval_metric = eval_metric
        self.checkpoint_hist = checkpoint_hist

    def on_epoch_end(self, epoch, logs=None):
        ranking = best_epochs(self.summary.rows, self.eval_metric)
        paths = [self.folder.last_model]
        if ranking[0] == epoch:
            paths.append(self.folder.best_model)
        kept = ranking[: self.checkpoint_hist]
        if epoch in kept:
            self.folder.checkpoints.mkdir(exist_ok=True)
            paths.append(self.folder.checkpoint(epoch))
        self._save(paths)
        for dropped in ranking[self.checkpoint_hist :]:
            for path in (self.folder.checkpoint(dropped), raw(self.folder.checkpoint(dropped))):
                path.unlink(missing_ok=True)

    def _save(self, paths: list[Path]) -> None:
        weights = {weight.path: weight for weight in self.model.weights}
        averages = average_of(self.model)
        if averages:
            trainable = [weight.path for weight in self.model.trainable_weights]
            self._write(weights, [raw(path) for path in paths])
            weights |= dict(zip(trainable, averages, strict=True))
        self._write(weights, paths)

    def _write(self, weights: dict[str, keras.Variable], paths: list[Path]) -> None:
        for place in self.portrait.weights:
            place.assign(keras.ops.convert_to_numpy(weights[place.path]))
        for path in paths:
            with replacing(path) as temporary:
                self.portrait.save(temporary)


def raw(path: Path) -> Path:
    """Returns the path of the raw weights beside a model of averaged ones."""
    return path.with_name(f"{path.stem}-raw{path.suffix}")
