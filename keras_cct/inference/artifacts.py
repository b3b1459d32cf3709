"""Finds the model in a run folder, so that a run can be named instead of one of its files."""

from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError

RECIPE, BEST_MODEL, SAVED_MODEL = "recipe.yml", "best.keras", "saved_model"
"""Files and folders of a run folder."""


def find_artifact(path: str | PathLike) -> Path:
    """Returns the SavedModel of a run folder, or its best model if the run has none yet; any other path unchanged.

    Raises:
        InputError: The run folder has no model yet.
    """
    return _find_in_run(Path(path), (SAVED_MODEL, BEST_MODEL))


def find_keras_file(path: str | PathLike) -> Path:
    """Returns the best model of a run folder; any other path unchanged.

    Raises:
        InputError: The run folder has no model yet.
    """
    return _find_in_run(Path(path), (BEST_MODEL,))


def _find_in_run(path: Path, names: tuple[str, ...]) -> Path:
    if not (path / RECIPE).is_file():
        return path
    for name in names:
        if (path / name).exists():
            return path / name
    raise InputError(f"the run {str(path)!r} has no model yet. Train it with `keras_cct train --resume {path}`.")
