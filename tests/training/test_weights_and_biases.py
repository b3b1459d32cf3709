import sys
import types
from pathlib import Path

import pytest

import keras_cct
from keras_cct.training.run_folder import RunFolder
from keras_cct.training.weights_and_biases import check_wandb, wandb_writer


class Runs(types.ModuleType):
    """Takes the place of the library and notes what it is told."""

    def __init__(self):
        super().__init__("wandb")
        self.begun, self.logged = [], []

    def init(self, **settings):
        self.begun.append(settings)
        return self

    def log(self, row, step):
        self.logged.append((step, row))


def test_rows_go_to_one_run_by_folder(monkeypatch, tmp_path):
    wandb = Runs()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = RunFolder.create(tmp_path / "first")
    write = wandb_writer(folder, {"lr": 0.1})
    write({"epoch": 0, "train_loss": 1.0})
    (settings,) = wandb.begun
    assert settings["config"] == {"lr": 0.1}
    assert (settings["name"], settings["resume"], Path(settings["dir"])) == ("first", "allow", folder.path)
    wandb_writer(folder, {"lr": 0.1})
    wandb_writer(RunFolder.create(tmp_path / "second"), {"lr": 0.1})
    first, again, second = [settings["id"] for settings in wandb.begun]
    assert first == again != second
    assert wandb.logged == [(0, {"epoch": 0, "train_loss": 1.0})]


def test_a_missing_library_is_told_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(keras_cct.InputError, match="pip install wandb, or leave it out"):
        check_wandb()
