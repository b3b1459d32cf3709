"""The folder that a training run writes to."""

import csv
import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.files import remove_partial, replacing
from keras_cct.inference.artifacts import BEST_MODEL, RECIPE, SAVED_MODEL, SPLIT
from keras_cct.training.lock import LOCK


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of the files of a run, and functions that write them.

    Args:
        path: The folder.
    """

    path: Path

    @staticmethod
    def check_is_free(path: Path) -> None:
        """Raises InputError if the path is a file, or a folder with files in it, or is not valid UTF-8."""
        _check_encoding(path)
        if path.is_dir() and any(file.name != LOCK for file in path.iterdir()):
            raise InputError(f"the output folder {str(path)!r} is not empty. Choose a new one; nothing is overwritten.")
        if path.exists() and not path.is_dir():
            raise InputError(f"the output folder {str(path)!r} is a file. Choose another.")

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """Creates the folder.

        Raises:
            InputError: It exists and has files in it, or cannot be created.
        """
        try:
            cls.check_is_free(path)
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the output folder {str(path)!r} cannot be created: {error.strerror}. Choose another."
            ) from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Opens the folder of an existing run.

        Raises:
            InputError: It has no recipe.yml, or its path is not valid UTF-8.
        """
        _check_encoding(path)
        folder = cls(path)
        if not folder.recipe.is_file():
            raise InputError(
                f"{str(path)!r} is not a run folder: it has no recipe.yml. Pass a folder that `keras_cct train` wrote."
            )
        return folder

    @property
    def recipe(self) -> Path:
        """The recipe of the run."""
        return self.path / RECIPE

    @property
    def split(self) -> Path:
        """Which images of a folder belong to which split."""
        return self.path / SPLIT

    @property
    def environment(self) -> Path:
        """Versions of the packages and the hardware on which the run started."""
        return self.path / "environment.json"

    @property
    def report(self) -> Path:
        """The report about the run."""
        return self.path / "report.html"

    @property
    def metrics(self) -> Path:
        """Metrics of the best model on the evaluation images, written with the report."""
        return self.path / "metrics.json"

    @property
    def summary(self) -> Path:
        """One row of metrics per epoch."""
        return self.path / "summary.csv"

    @property
    def state(self) -> Path:
        """The state to resume from."""
        return self.path / "state.npz"

    @property
    def data(self) -> Path:
        """The fingerprint of the data of the run."""
        return self.path / "data.npz"

    @property
    def index(self) -> Path:
        """What a pass over the images of a folder has found, so that a resumed run reads only changed ones."""
        return self.path / "index.npz"

    @property
    def teacher(self) -> Path:
        """The SHA-256 of the teacher, if the run has one."""
        return self.path / "teacher.sha256"

    @property
    def best_model(self) -> Path:
        """The model of the best epoch."""
        return self.path / BEST_MODEL

    @property
    def last_model(self) -> Path:
        """The model of the last epoch."""
        return self.path / "last.keras"

    @property
    def average_model(self) -> Path:
        """The average of the best checkpoints, if `average_checkpoints` kept it."""
        return self.path / "average.keras"

    @property
    def curves(self) -> Path:
        """Plots of the metrics."""
        return self.path / "curves.png"

    @property
    def saved_model(self) -> Path:
        """The best model as a SavedModel."""
        return self.path / SAVED_MODEL

    @property
    def events(self) -> Path:
        """The metrics for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def wandb_id(self) -> Path:
        """The identifier of the run at Weights & Biases."""
        return self.path / "wandb-id.txt"

    @property
    def checkpoints(self) -> Path:
        """The models of the best epochs."""
        return self.path / "checkpoints"

    def checkpoint(self, epoch: int) -> Path:
        """The model of an epoch, counted from 1."""
        return self.checkpoints / f"epoch-{epoch:04d}.keras"

    def write_recipe(self, text: str) -> None:
        """Writes the recipe."""
        with replacing(self.recipe) as temporary:
            temporary.write_text(text)

    def write_summary(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Writes the rows of all epochs so far."""
        with replacing(self.summary) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def remove_results(self) -> None:
        """Removes what describes or combines all epochs, before more epochs are trained."""
        for path in (self.curves, self.report, self.metrics, self.average_model):
            path.unlink(missing_ok=True)
        if self.saved_model.exists():
            shutil.rmtree(self.saved_model)

    def remove_partial_files(self) -> None:
        """Removes temporary files left behind by a killed run."""
        for folder in (self.path, self.checkpoints):
            remove_partial(folder)


def _check_encoding(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the run folder {str(path)!r} is not valid UTF-8, which TensorFlow requires. Choose another name."
        ) from error
