"""The saved state of a training run, and the callbacks that save and restore it."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cct.errors import InputError, is_number
from keras_cct.files import reading, replacing
from keras_cct.npz import read_npz
from keras_cct.training.callbacks import EpochMetrics, Summary
from keras_cct.training.termination import Terminated, TerminationRequest

STATE_VERSION = 3
"""Version of the file format. Version 1 (keras_cct 0.1.0) had no version number and counted epochs from 0."""

_EXPECTED = "a saved training state"
_NUMBERS = "fiubV"
"""Kinds of dtype that a state has; V is bfloat16, which NumPy does not know."""
_ADVICE = "Resume another run, or start a new one."


@dataclasses.dataclass(frozen=True)
class RunState:
    """Everything that a run needs to continue as if it had not been interrupted.

    Args:
        epoch: Number of completed epochs.
        step: Number of completed steps of the next epoch.
        rows: The rows of summary.csv.
        arrays: Weights, seed generators, optimizer variables, and the sums behind the running loss.
        names: Paths of the variables in `arrays`, in the same order.
        images_per_step: Images per step over all devices; epochs are counted in steps, so it must not change.
        generator: State of PyTorch's global random generator, which Keras's dropout uses there; empty elsewhere.
    """

    epoch: int
    step: int
    rows: list[EpochMetrics]
    arrays: list[np.ndarray]
    names: list[str]
    images_per_step: int
    generator: np.ndarray

    @classmethod
    def of(
        cls, model: keras.Model, epoch: int, step: int, rows: list[EpochMetrics], images_per_step: int
    ) -> "RunState":
        """Returns the state of a compiled model and its optimizer."""
        variables = _named_variables(model)
        arrays = [np.asarray(keras.ops.convert_to_numpy(variable)) for _, variable in variables]
        names = [name for name, _ in variables]
        return cls(epoch, step, rows, arrays, names, images_per_step, _torch_generator_state())

    def write(self, path: Path) -> None:
        """Writes the state to a file, atomically."""
        facts = {
            "version": STATE_VERSION,
            "epoch": self.epoch,
            "step": self.step,
            "rows": self.rows,
            "names": self.names,
            "images_per_step": self.images_per_step,
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
        stored = read_npz(path, _ADVICE, _EXPECTED)
        with reading(path, _EXPECTED, _ADVICE):
            facts = json.loads(str(stored["facts"]))
            version = facts.pop("version", 1)
            if version != STATE_VERSION:
                raise InputError(
                    f"the state has format {version!r}, from another version of keras_cct; this version resumes format "
                    f"{STATE_VERSION}. Resume with that version, or start a new run with --initial-checkpoint "
                    f"last.keras."
                )
            arrays = [stored[f"array_{index}"] for index in range(len(facts["names"]))]
            state = cls(arrays=arrays, generator=stored["generator"], **facts)
            if not state.has_types():
                raise ValueError("a value has another type")
            return state

    def has_types(self) -> bool:
        """Returns whether the values that come from JSON have the types of the fields."""
        counts = (self.epoch, self.step, self.images_per_step)
        return (
            all(isinstance(count, int) and count >= 0 for count in counts)
            and all(isinstance(name, str) for name in self.names)
            and all(isinstance(row, dict) and row and all(map(is_number, row.values())) for row in self.rows)
            and len(self.rows) == self.epoch
            and all(array.dtype.kind in _NUMBERS for array in self.arrays)
        )

    def check(self, model: keras.Model, images_per_step: int) -> None:
        """Checks that a run with this model and batch size can continue from the state.

        Raises:
            InputError: The batch size or the model differs. The message contains both values.
        """
        if images_per_step != self.images_per_step:
            raise InputError(
                f"the run started with {self.images_per_step} images per step; now there are {images_per_step}. "
                f"Resume with at least as many training images as a step needs."
            )
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
        self.restore_generator()

    def restore_generator(self) -> None:
        """Restores the state of PyTorch's global random generator."""
        if keras.backend.backend() == "torch":
            import torch  # pyright: ignore[reportMissingImports] - optional

            random = torch.cuda if torch.cuda.is_available() else torch
            random.set_rng_state(torch.from_numpy(self.generator))


class StateRestorer(keras.callbacks.Callback):
    """Restores a state in the first epoch of a resumed run.

    `fit` resets the running loss when an epoch begins, and draws random numbers before its first step, so a state that
    is restored earlier would be partly overwritten. Of the callbacks, only `EpochSeeder` may come earlier.

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

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._state is not None:
            self._state.restore_generator()  # The loader of the images has drawn from it since the epoch began.
            self._state = None


class EpochSeeder(keras.callbacks.Callback):
    """Seeds PyTorch's global random generator, from which dropout draws, before the first step of each epoch.

    The loaders of images draw from it too, when they start, and a resumed run starts other loaders than an
    uninterrupted one. The other backends draw from the model's seed generators. `StateRestorer` must come later.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._epoch: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._epoch is not None:
            import torch  # pyright: ignore[reportMissingImports] - optional

            torch.manual_seed(int(np.random.SeedSequence((self._seed, self._epoch)).generate_state(1)[0]))
            self._epoch = None


class StateSaver(keras.callbacks.Callback):
    """Saves the state after every epoch, after some steps within an epoch, and on SIGTERM.

    It must come after the callbacks that write files, so that these are written before the state marks the epoch as
    complete.

    Args:
        path: The file to write; None in processes that write no files, which only end together with the others.
        summary: The callback with the rows of summary.csv.
        steps: The steps of an epoch after which to save, all before its last step.
        num_steps: Steps per epoch.
        first_step: Steps of the first epoch that were completed before the run was resumed; 0 in a new run.
        termination: The request to save and raise `Terminated` after the current step; after the last step of an epoch,
            only after its evaluation.
    """

    def __init__(
        self,
        path: Path | None,
        summary: Summary,
        steps: range,
        num_steps: int,
        first_step: int,
        termination: TerminationRequest,
    ) -> None:
        super().__init__()
        self.path = path
        self.summary = summary
        self.steps = steps
        self.num_steps = num_steps
        self.termination = termination
        self._first_step = first_step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._first_step + batch + 1
        ends_here = self.termination.check(self._epoch * self.num_steps + step) and step < self.num_steps
        if step in self.steps or ends_here:
            self._save(self._epoch, step)
        if ends_here:
            raise Terminated

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._first_step = 0
        self._save(epoch + 1, 0)
        if self.termination.is_received:
            raise Terminated

    def _save(self, epoch: int, step: int) -> None:
        if self.path is None:
            return
        model: Any = self.model
        if keras.backend.backend() == "jax":
            model.jax_state_sync()
        RunState.of(model, epoch, step, self.summary.rows, self.summary.batch_size).write(self.path)


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
