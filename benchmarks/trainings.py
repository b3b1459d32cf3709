"""Trainings of the accuracy comparisons, and the files of their results.

A file of results has one entry per training, written when the training has ended, so that an interrupted comparison
continues with the first training that is missing.
"""

import dataclasses
import importlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from machine import RESULTS

from keras_cct.files import replacing
from keras_cct.recipe.recipe import Recipe

Settings = dict[str, Any]
"""What distinguishes a training from the others of a comparison, e.g. `{"model": "cct_2_3x2_32", "seed": 0}`."""


def train_missing(name: str, trainings: Iterable[Settings], train: Callable[..., float]) -> None:
    """Runs the trainings that a file of results lacks, and adds their accuracies to it.

    Args:
        name: Name of the file, without its ending.
        trainings: The settings of every training.
        train: Returns the top-1 accuracy in percent; called with settings as keyword arguments.
    """
    path = RESULTS / f"{name}.json"
    results = json.loads(path.read_text())["trainings"] if path.exists() else []
    for settings in trainings:
        if any(settings.items() <= result.items() for result in results):
            continue
        results.append({**settings, "top1": round(train(**settings), 2), **versions()})
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"trainings": results}, indent=2) + "\n")
        print(results[-1], flush=True)


def versions() -> dict[str, str]:
    """Returns the versions of Keras and of its backend."""
    import keras

    backend = keras.backend.backend()
    return {"keras": keras.__version__, "backend": f"{backend} {importlib.import_module(backend).__version__}"}


def train_once(recipe: Recipe, **keys: Any) -> float:
    """Trains one model and returns its top-1 accuracy on the evaluation images after the last epoch, in percent.

    Args:
        recipe: The recipe of a comparison.
        **keys: Keys to replace.
    """
    from keras_cct.training.folder import RunFolder
    from keras_cct.training.prepared_run import PreparedRun
    from keras_cct.training.training_loop import fit

    run = PreparedRun.prepare(dataclasses.replace(recipe, **keys))
    with tempfile.TemporaryDirectory() as path:
        return fit(run, RunFolder.create(Path(path, "run")), log_wandb=False)[-1]["eval_top1"]
