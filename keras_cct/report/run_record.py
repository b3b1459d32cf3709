"""Reads what a run folder says about a run: recipe, metrics per epoch, environment."""

import csv
import dataclasses
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.files import reading
from keras_cct.inference.artifacts import RECIPE
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.callbacks import EpochMetrics
from keras_cct.training.checkpoints import ranked_rows
from keras_cct.training.environment import read_environment
from keras_cct.training.folder import RunFolder

_REQUIRED_COLUMNS = ("epoch", "train_loss", "eval_loss", "eval_top1")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run with at least one epoch.

    Args:
        folder: The run folder.
        recipe: The recipe.
        rows: The rows of summary.csv; epochs count from 1.
        environment: Versions and hardware by name; empty if the run did not record them.
    """

    folder: RunFolder
    recipe: Recipe
    rows: list[EpochMetrics]
    environment: dict[str, str]

    @classmethod
    def read(cls, path: str | PathLike) -> "RunRecord":
        """Reads a run folder.

        Raises:
            InputError: It is not a run folder, has no summary.csv or no model, or one of its files is corrupted.
        """
        folder = RunFolder.open(Path(path))
        recipe = load_recipe(folder.recipe)
        if not folder.summary.is_file() or not folder.best_model.is_file():
            missing = folder.best_model if folder.summary.is_file() else folder.summary
            raise InputError(
                f"the run {str(path)!r} has no {missing.name}: it has not finished an epoch. "
                f"Train it with `keras_cct train --resume {path}`."
            )
        return cls(folder, recipe, _read_rows(folder.summary), read_environment(folder.environment))

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.folder.path.resolve().name

    @property
    def best_row(self) -> EpochMetrics:
        """The row of the epoch whose model is the best one."""
        return ranked_rows(self.rows, self.recipe.eval_metric)[0]


def find_runs(path: str | PathLike) -> list[Path]:
    """Returns the run folders at a path: the path itself if it is one, or those directly inside of it.

    A path that is not a folder is returned unchanged.

    Raises:
        InputError: The folder contains no runs.
    """
    path = Path(path)
    if (path / RECIPE).is_file() or not path.is_dir():
        return [path]
    runs = sorted(recipe.parent for recipe in path.glob(f"*/{RECIPE}"))
    if not runs:
        raise InputError(
            f"{str(path)!r} is not a run folder and contains none: there is no {RECIPE}. "
            f"Pass a folder that `keras_cct train` wrote."
        )
    return runs


def _read_rows(path: Path) -> list[EpochMetrics]:
    with reading(path, "the summary of a run"), path.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        if not rows:
            raise InputError(f"{str(path)!r} contains no epochs. Train the run for at least one.")
        missing = [column for column in _REQUIRED_COLUMNS if any(column not in row for row in rows)]
        if missing:
            raise InputError(f"{str(path)!r} lacks values of {', '.join(missing)}. Restore the file.")
        first = min(row["epoch"] for row in rows)
        # Version 0.1.0 counted epochs from 0.
        return [row | {"epoch": int(row["epoch"] + (first == 0))} for row in rows]
