"""The saved state of a training run, and the callbacks that save and restore it."""

import dataclasses
import json
import re
import reprlib
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.training.callbacks import EpochMetrics, Summary

DataFingerprint = dict[str, object]
"""What must not change between the start of a run and its resumption: classes, number of images, images per step."""

STATE_VERSION = 2
"""Version of the file format. Version 1 (keras_cct 0.1.0) had no version number and counted epochs from 0."""


@dataclasses.dataclass(frozen=True)
class RunState:
    """Everything that a run needs to continue as if it had not been interrupted.

    Args:
        epoch: Number of completed epochs.
        step: Number of completed steps of the next epoch.
        rows: The rows of summary.csv.
        arrays: Weights, seed generators, optimizer variables, and the sums behind the running loss.
        names: Paths of the variables in `arrays`, in the same order.
        data: Fingerprint of the data of the run.
        generator: State of PyTorch's global random generator, which Keras's dropout uses there; empty elsewhere.
    """

    epoch: int
    step: int
    rows: list[EpochMetrics]
    arrays: list[np.ndarray]
    names: list[str]
    data: DataFingerprint
    generator: np.ndarray

    @classmethod
    def of(
        cls, model: keras.Model, epoch: int, step: int, rows: list[EpochMetrics], data: DataFingerprint
    ) -> "RunState":
        """Returns the state of a compiled model and its optimizer."""
        variables = _named_variables(model)
        arrays = [np.asarray(keras.ops.convert_to_numpy(variable)) for _, variable in variables]
        return cls(epoch, step, rows, arrays, [name for name, _ in variables], data, _torch_generator_state())

    def write(self, path: Path) -> None:
        """Writes the state to a file, atomically."""
        facts = {
            "version": STATE_VERSION,
            "epoch": self.epoch,
            "step": self.step,
            "rows": self.rows,
            "names": self.names,
            "data": self.data,
        }
        arrays: dict[str, Any] = {f"array_{index}": array for index, array in enumerate(self.arrays)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, facts=np.array(json.dumps(facts)), generator=self.generator, **arrays)

    @classmethod
    def read(cls, path: Path) -> "RunState":
        """Returns the state in a file.

        Raises:
            InputError: The file is corrupt, or was written by an incompatible version of keras_cct.
        """
        try:
            with path.open("rb") as content, np.load(content) as file:
                facts = json.loads(str(file["facts"]))
                arrays = [file[f"array_{index}"] for index in range(len(facts["names"]))]
                generator = file["generator"]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{str(path)!r} is not a saved training state. Resume another run, or start a new one."
            ) from error
        version = facts.pop("version", 1)
        if version != STATE_VERSION:
            raise InputError(
                f"{str(path)!r} has format {version}, from another version of keras_cct; this version resumes format "
                f"{STATE_VERSION}. Resume with that version, or start a new run with --initial-checkpoint last.keras."
            )
        return cls(arrays=arrays, generator=generator, **facts)

    def check(self, model: keras.Model, data: DataFingerprint) -> None:
        """Checks that a run on this data with this model can continue from the state.

        Raises:
            InputError: The data or the model differ. The message contains both values.
        """
        for name, before in self.data.items():
            if data[name] != before:
                old, new = reprlib.repr(before), reprlib.repr(data[name])
                raise InputError(f"the run started with {name} {old}; now it is {new}. Resume with the same data.")
        expected = [(name, tuple(variable.shape)) for name, variable in _named_variables(model)]
        saved = [(name, array.shape) for name, array in zip(self.names, self.arrays, strict=True)]
        if expected == saved:
            return
        difference = next(
            (
                f"the state has {theirs[0]} {theirs[1]}, the model has {ours[0]} {ours[1]}"
                for theirs, ours in zip(saved, expected, strict=False)
                if theirs != ours
            ),
            f"the state has {len(saved)} variables, the model has {len(expected)}",
        )
        raise InputError(f"the saved state belongs to another model: {difference}. Resume another run.")

    def restore(self, model: keras.Model) -> None:
        """Assigns all variables of a model that `check` accepts, and the state of PyTorch's global random generator."""
        for (_, variable), array in zip(_named_variables(model), self.arrays, strict=True):
            variable.assign(array)
        if keras.backend.backend() == "torch":
            import torch  # pyright: ignore[reportMissingImports] - optional

            random = torch.cuda if torch.cuda.is_available() else torch
            random.set_rng_state(torch.from_numpy(self.generator))


class StateRestorer(keras.callbacks.Callback):
    """Restores a state in the first epoch of a resumed run.

    `fit` resets the running loss when an epoch begins, and draws random numbers before its first step, so a state that
    is restored earlier would be partly overwritten. This must be the first callback.

    Args:
        state: The state to resume from.
    """

    def __init__(self, state: RunState) -> None:
        super().__init__()
        self._state: RunState | None = state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        model: Any = self.model
        if self._state is not None:
            self._state.restore(model)
            if self._state.step == 0:
                model.reset_metrics()  # The restored sums are those of the previous epoch.
            self._state = None


class StateSaver(keras.callbacks.Callback):
    """Saves the state after every epoch, and after some steps within an epoch.

    It must be the last callback, so that the other callbacks have written their files before the state marks the epoch
    as complete.

    Args:
        path: The file to write.
        summary: The callback with the rows of summary.csv.
        steps: The steps of an epoch after which to save.
        data: Fingerprint of the data of the run.
        first_step: Steps of the first epoch that were completed before the run was resumed; 0 in a new run.
    """

    def __init__(self, path: Path, summary: Summary, steps: range, data: DataFingerprint, first_step: int) -> None:
        super().__init__()
        self.path = path
        self.summary = summary
        self.steps = steps
        self.data = data
        self._first_step = first_step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._first_step + batch + 1
        if step in self.steps:
            self._save(self._epoch, step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._first_step = 0
        self._save(epoch + 1, 0)

    def _save(self, epoch: int, step: int) -> None:
        model: Any = self.model
        if keras.backend.backend() == "jax":
            model.jax_state_sync()
        RunState.of(model, epoch, step, self.summary.rows, self.data).write(self.path)


def _named_variables(model: keras.Model) -> list[tuple[str, keras.Variable]]:
    """Returns all variables, with names that do not depend on what else the process has created."""
    own = [(re.sub(r"(seed_generator)_\d+", r"\1", variable.path), variable) for variable in model.variables]
    (loss,) = [metric for metric in model.metrics if metric.name == "loss"]
    others = [*model.optimizer.variables, *loss.variables]
    return [*own, *((f"training/{variable.name}", variable) for variable in others)]


def _torch_generator_state() -> np.ndarray:
    if keras.backend.backend() != "torch":
        return np.empty(0, "uint8")
    import torch  # pyright: ignore[reportMissingImports] - optional

    return (torch.cuda if torch.cuda.is_available() else torch).get_rng_state().numpy()
