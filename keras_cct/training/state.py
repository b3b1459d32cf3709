"""The state of a training run: what it needs to go on as if it had never stopped."""

import dataclasses
import json
import re
import reprlib
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.files import replacing

Row = dict[str, float]
Facts = dict[str, object]


@dataclasses.dataclass(frozen=True)
class RunState:
    """A moment of a run.

    Args:
        epoch: Epochs completed.
        step: Steps completed of the epoch after them.
        rows: The rows of summary.csv.
        arrays: Weights, states of random numbers, state of the optimizer, and the sums behind the running loss.
        names: The paths of the variables behind `arrays`.
        data: What may not change while the run is stopped: its classes, number of images and images per step.
        generator: State of PyTorch's global random numbers, which Keras's dropout draws from there; else empty.
    """

    epoch: int
    step: int
    rows: list[Row]
    arrays: list[np.ndarray]
    names: list[str]
    data: Facts
    generator: np.ndarray

    @classmethod
    def of(cls, model: keras.Model, epoch: int, step: int, rows: list[Row], data: Facts) -> "RunState":
        """Returns the state of a compiled model and its optimizer."""
        variables = _variables(model)
        arrays = [keras.ops.convert_to_numpy(variable) for _, variable in variables]
        return cls(epoch, step, rows, arrays, [name for name, _ in variables], data, _global_generator())

    def write(self, path: Path) -> None:
        """Writes the state to a file, whole or not at all."""
        facts = {"epoch": self.epoch, "step": self.step, "rows": self.rows, "names": self.names, "data": self.data}
        arrays = {f"array_{place}": array for place, array in enumerate(self.arrays)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, facts=np.array(json.dumps(facts)), generator=self.generator, **arrays)

    @classmethod
    def read(cls, path: Path) -> "RunState":
        """Returns the state in a file.

        Raises:
            InputError: The file is broken.
        """
        try:
            with path.open("rb") as content, np.load(content) as file:
                facts = json.loads(str(file["facts"]))
                arrays = [file[f"array_{place}"] for place in range(len(facts["names"]))]
                generator = file["generator"]
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{str(path)!r} is no state of a run. Give the folder of another run.") from error
        return cls(arrays=arrays, generator=generator, **facts)

    def check_data(self, data: Facts) -> None:
        """Raises InputError, naming both, if a run would go on with other data or steps of another size."""
        for name, before in self.data.items():
            if data[name] != before:
                old, new = reprlib.repr(before), reprlib.repr(data[name])
                raise InputError(f"the run began with {old} as {name} and would go on with {new}. Give the same data.")

    def restore(self, model: keras.Model) -> None:
        """Puts weights, states of random numbers and optimizer back into a compiled model of the same recipe.

        Raises:
            InputError: The state is another model's.
        """
        variables = _variables(model)
        ours = [(name, tuple(variable.shape)) for name, variable in variables]
        theirs = [(name, array.shape) for name, array in zip(self.names, self.arrays, strict=True)]
        for (name, shape), (saved_name, saved_shape) in zip(ours, theirs, strict=False):
            if (name, shape) != (saved_name, saved_shape):
                theirs_here = f"{saved_name} {saved_shape} where this one has {name} {shape}"
                raise InputError(f"the state is another model's: it has {theirs_here}. Give the folder of another run.")
        if len(ours) != len(theirs):
            counts = f"{len(theirs)} variables, this one {len(ours)}"
            raise InputError(f"the state is another model's: it has {counts}. Give the folder of another run.")
        for (_, variable), array in zip(variables, self.arrays, strict=True):
            variable.assign(array)

    def restore_generator(self) -> None:
        """Puts PyTorch's global random numbers back, from which `fit` draws before its first step."""
        if keras.backend.backend() == "torch":
            import torch

            random = torch.cuda if torch.cuda.is_available() else torch
            random.set_rng_state(torch.from_numpy(self.generator))

    def restore_loss(self, model: keras.Model) -> None:
        """Puts back the sums behind the running loss, which `fit` clears at the start of an epoch."""
        variables = _loss_variables(model)
        for variable, array in zip(variables, self.arrays[-len(variables) :], strict=True):
            variable.assign(array)


def _variables(model: keras.Model) -> list[tuple[str, keras.Variable]]:
    """Returns all variables with names that do not count what else the process has made."""
    own = [(re.sub(r"(seed_generator)_\d+", r"\1", variable.path), variable) for variable in model.variables]
    others = [*model.optimizer.variables, *_loss_variables(model)]
    return [*own, *((f"training/{variable.name}", variable) for variable in others)]


def _loss_variables(model: keras.Model) -> list[keras.Variable]:
    (loss,) = [metric for metric in model.metrics if metric.name == "loss"]
    return loss.variables


def _global_generator() -> np.ndarray:
    if keras.backend.backend() != "torch":
        return np.empty(0, "uint8")
    import torch

    return (torch.cuda if torch.cuda.is_available() else torch).get_rng_state().numpy()
