import csv
import dataclasses
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.small_run import small_data, small_recipe

import keras_cct
from keras_cct.training import run as training_run
from keras_cct.training.callbacks import Summary
from keras_cct.training.folder import RunFolder

NUM_KILLS = 3
KEYS = {
    "dataset": "small",
    "epochs": 12,
    "batch-size": 16,
    "warmup-epochs": 1,
    "recovery-interval": 2,
    "checkpoint-hist": 2,
    "aa": "rand-m9-mstd0.5-inc1",
    "mixup": 0.8,
    "cutmix": 1.0,
    "reprob": 0.25,
    "remode": "pixel",
}
FLAGS = ["--model-ema", *(word for key, value in KEYS.items() for word in (f"--{key}", value))]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    train, test = small_data("")
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x_train=train.images, y_train=train.labels, x_test=test.images, y_test=test.labels)
    return path


def recipe_of(data: Path, **overrides) -> keras_cct.Recipe:
    keys = {"dataset": "small", "data_dir": str(data), "recovery_interval": 2, "mixup": 0.8}
    return small_recipe(**(keys | overrides))


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> RunFolder:
    """A run of two epochs of five steps."""
    return keras_cct.train(recipe_of(data), tmp_path_factory.mktemp("runs") / "alone")


def assert_same_weights(path: Path, other: Path) -> None:
    ours, theirs = (keras.models.load_model(model).get_weights() for model in (path, other))
    for weight, same in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(weight, same, err_msg=str(other))


def start(*arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "keras_cct", "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def kill_soon_after_a_new_state(process: subprocess.Popen, state: Path, delay: float) -> None:
    before = state.stat().st_mtime_ns if state.exists() else None
    while not state.exists() or state.stat().st_mtime_ns == before:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def rows_of(folder: RunFolder) -> list[dict]:
    with folder.summary.open() as file:
        return [
            {key: value for key, value in row.items() if key != "images_per_second"} for row in csv.DictReader(file)
        ]


@pytest.mark.tensorflow
def test_a_killed_run_ends_like_an_uninterrupted_one(data, tmp_path):
    alone, killed = RunFolder(tmp_path / "alone"), RunFolder(tmp_path / "killed")
    finish(start(*FLAGS, "--output", alone.path, data))
    moments, process = random.Random(3), start(*FLAGS, "--output", killed.path, data)
    for _ in range(NUM_KILLS):
        kill_soon_after_a_new_state(process, killed.state, moments.uniform(0, 0.5))
        process = start("--resume", killed.path)
    finish(process)
    assert rows_of(killed) == rows_of(alone)
    names = [sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*.keras")) for run in (alone, killed)]
    assert names[0] == names[1]
    assert len(names[0]) == 8  # best, last and two checkpoints, each averaged and raw
    for name in names[0]:
        assert_same_weights(alone.path / name, killed.path / name)


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C in a step."""

    def __init__(self, epoch: int, batch: int):
        super().__init__()
        self.moment = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) == self.moment:
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", [(0, 3), (1, 0), (1, 4)])
def test_an_interrupted_run_resumes_from_its_last_state_on_every_backend(moment, data, tmp_path, monkeypatch, alone):
    callbacks_of_run = training_run._Run._callbacks
    interrupted = lambda *arguments: [*callbacks_of_run(*arguments), Interrupt(*moment)]  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(training_run._Run, "_callbacks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            keras_cct.train(recipe_of(data), tmp_path / "run")
    resumed = keras_cct.resume(tmp_path / "run")
    if keras.backend.backend() == "torch":
        # The rounding of PyTorch's kernels depends on the alignment of their arguments in memory.
        losses = [[float(row["train_loss"]) for row in rows_of(run)] for run in (resumed, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    else:
        assert rows_of(resumed) == rows_of(alone)
        assert_same_weights(alone.last_model, resumed.last_model)


@pytest.mark.tensorflow
def test_a_finished_run_resumes_only_with_more_epochs(data, tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    with pytest.raises(keras_cct.InputError, match="has finished its 2 epochs"):
        keras_cct.resume(tmp_path / "run")
    longer = keras_cct.resume(tmp_path / "run", epochs=3)
    assert [row["epoch"] for row in rows_of(longer)] == ["1", "2", "3"]
    assert keras_cct.load_recipe(longer.recipe).epochs == 3


@pytest.mark.tensorflow
def test_a_run_without_its_exports_gets_them(tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "saved_model")
    assert keras_cct.resume(tmp_path / "run").saved_model.exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model": "cct_7_3x1_32"}, "has model='cct_2_3x2_32' and cannot be resumed with 'cct_7_3x1_32'"),
        ({"batch_size": 8}, "has batch_size=16 and cannot be resumed with 8"),
    ],
)
def test_keys_that_would_change_the_run_are_refused(overrides, message, alone):
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.resume(alone.path, **overrides)


@pytest.mark.tensorflow
def test_a_run_cannot_be_resumed_with_other_data(data, tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    with np.load(data) as arrays:
        np.savez(tmp_path / "fewer.npz", **{name: array[::2] for name, array in arrays.items()})
    before = (tmp_path / "run" / "recipe.yml").read_text()
    with pytest.raises(keras_cct.InputError, match="40 training images were removed"):
        keras_cct.resume(tmp_path / "run", epochs=3, data_dir=str(tmp_path / "fewer.npz"))
    assert (tmp_path / "run" / "recipe.yml").read_text() == before


@pytest.mark.tensorflow
def test_exports_of_fewer_epochs_are_removed_by_a_resumed_run(data, tmp_path, monkeypatch, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "_finish", lambda *arguments: None)
        keras_cct.resume(tmp_path / "run", epochs=3)
    assert not (tmp_path / "run" / "saved_model").exists()
    assert keras_cct.resume(tmp_path / "run").saved_model.exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(keras_cct.InputError, match="is not a run folder"):
        keras_cct.resume(tmp_path)


@pytest.mark.tensorflow
def test_a_state_of_another_model_is_refused_and_no_file_changes(data, tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(recipe_of(data, model="cct_4_3x2_32", epochs=3).to_yaml())
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(keras_cct.InputError, match="belongs to another model"):
        keras_cct.resume(folder.path)
    assert before == {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


@pytest.mark.tensorflow
def test_a_full_disk_loses_nothing_that_was_saved(data, tmp_path, monkeypatch, alone):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    write_row = Summary.on_epoch_end

    def fill_the_disk(self, epoch, logs=None):
        write_row(self, epoch, logs)
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

    with monkeypatch.context() as patch:
        patch.setattr(Summary, "on_epoch_end", fill_the_disk)
        try:
            with pytest.raises(keras_cct.InputError, match="cannot write .* --resume"):
                keras_cct.train(recipe_of(data), tmp_path / "run")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resumed = keras_cct.resume(tmp_path / "run")
    assert rows_of(resumed) == rows_of(alone)
    assert_same_weights(alone.last_model, resumed.last_model)


def test_a_nan_or_infinite_loss_aborts_the_run(data, tmp_path):
    with pytest.raises(keras_cct.InputError, match=r"the loss .* is (nan|inf). Lower lr"):
        keras_cct.train(recipe_of(data, opt="sgd", lr=1e20), tmp_path / "run")
    assert not (tmp_path / "run" / "state.npz").exists()


@pytest.mark.tensorflow
def test_a_run_from_initial_weights_resumes_without_them_from_any_folder(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras_cct.save_weights_file(keras_cct.create_model("cct_2_3x2_32", input_shape=(28, 28, 1)), "init.safetensors")
    shutil.copy(data, "data.npz")
    recipe = small_recipe(epochs=1, cooldown_epochs=0, dataset="small", data_dir="data.npz")
    folder = keras_cct.train(dataclasses.replace(recipe, initial_checkpoint="init.safetensors"), tmp_path / "run")
    assert keras_cct.load_recipe(folder.recipe).initial_checkpoint == str(tmp_path / "init.safetensors")
    Path("init.safetensors").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(rows_of(keras_cct.resume(folder.path, epochs=2))) == 2
