import dataclasses
import errno
import os
import shutil
import signal
import socket
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.images import image_folder
from fixtures.small_run import assert_same_weights, replace_export, rows_of, small_archive, small_recipe

import keras_cct
from keras_cct.data import survey
from keras_cct.data.fingerprint import DataFingerprint
from keras_cct.data.survey_index import SurveyIndex
from keras_cct.training import run as training_run
from keras_cct.training import training_loop
from keras_cct.training.callbacks import Summary
from keras_cct.training.folder import RunFolder
from keras_cct.training.lock import locked
from keras_cct.training.prepared_run import PreparedRun
from keras_cct.training.state import RunState


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_archive(tmp_path_factory.mktemp("data") / "small.npz")


def recipe_of(data: Path, **overrides) -> keras_cct.Recipe:
    keys = {"dataset": "small", "data_dir": str(data), "recovery_interval": 2, "mixup": 0.8}
    return small_recipe(**(keys | overrides))


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> RunFolder:
    """A run of two epochs of five steps."""
    with pytest.MonkeyPatch.context() as patch:
        replace_export(patch)
        return keras_cct.train(recipe_of(data), tmp_path_factory.mktemp("runs") / "alone")


@pytest.fixture
def no_export(monkeypatch):
    replace_export(monkeypatch)


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C, or SIGTERM, in a step."""

    def __init__(self, epoch: int, batch: int, number: signal.Signals = signal.SIGINT):
        super().__init__()
        self.moment, self.number = (epoch, batch), number

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) != self.moment:
            return
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt  # Shells let processes in the background ignore the signal.
        os.kill(os.getpid(), self.number)


def interrupt(monkeypatch, *arguments) -> None:
    """Makes the next runs of this process interrupt themselves."""
    callbacks_of_run = training_loop.create_callbacks
    interrupted = lambda *settings: [Interrupt(*arguments), *callbacks_of_run(*settings)]  # noqa: E731
    monkeypatch.setattr(training_loop, "create_callbacks", interrupted)


def train_or_resume(recipe: keras_cct.Recipe, path: Path) -> RunFolder:
    return keras_cct.resume(path) if path.exists() else keras_cct.train(recipe, path)


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(
            [(0, 3)],
            id="in an epoch",
            marks=pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="is part of the other case"),
        ),
        pytest.param([(0, 3), (1, 0)], id="in an epoch and in the first step of one", marks=pytest.mark.one_backend),
    ],
)
def test_a_run_resumes_from_its_last_state_on_every_backend(moments, data, tmp_path, monkeypatch, alone, no_export):
    for moment in moments:
        with monkeypatch.context() as patch:
            interrupt(patch, *moment)
            with pytest.raises(KeyboardInterrupt):
                train_or_resume(recipe_of(data), tmp_path / "run")
    resumed = keras_cct.resume(tmp_path / "run")
    if keras.backend.backend() == "torch":
        # The rounding of PyTorch's kernels depends on the alignment of their arguments in memory.
        losses = [[float(row["train_loss"]) for row in rows_of(run)] for run in (resumed, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    else:
        assert rows_of(resumed) == rows_of(alone)
        assert_same_weights(alone.last_model, resumed.last_model)


@pytest.mark.slow
def test_a_run_that_checkpoints_activations_resumes_and_learns_what_one_without_does(
    data, tmp_path, monkeypatch, alone, no_export
):
    recipe = recipe_of(data, checkpoint_activations=True)
    whole = keras_cct.train(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, 0, 3)
        with pytest.raises(KeyboardInterrupt):
            keras_cct.train(recipe, tmp_path / "run")
    resumed = keras_cct.resume(tmp_path / "run")
    if keras.backend.backend() != "torch":
        assert rows_of(resumed) == rows_of(whole)
        assert_same_weights(whole.last_model, resumed.last_model)
    # Compilers fuse the two steps in another way, so that values differ in rounding.
    losses = [[float(row["train_loss"]) for row in rows_of(run)] for run in (whole, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    paths = [[weight.path for weight in keras.models.load_model(run.last_model).weights] for run in (whole, alone)]
    assert paths[0] == paths[1]


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_resumes_with_checkpointed_activations(tmp_path, monkeypatch, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    monkeypatch.setattr(training_run, "_finish", lambda *arguments: None)
    keras_cct.resume(tmp_path / "run", epochs=3, checkpoint_activations=True)
    assert len(rows_of(RunFolder.open(tmp_path / "run"))) == 3


@pytest.mark.slow
@pytest.mark.tensorflow
def test_sigterm_saves_the_current_step_or_epoch(data, tmp_path, monkeypatch, alone, no_export):
    for moment, saved in [((0, 4), (1, 0)), ((1, 2), (1, 3))]:
        with monkeypatch.context() as patch:
            interrupt(patch, *moment, signal.SIGTERM)
            with pytest.raises(SystemExit) as stop:
                train_or_resume(recipe_of(data, recovery_interval=0), tmp_path / "run")
        assert stop.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        state = RunState.read(tmp_path / "run" / "state.npz")
        assert (state.epoch, state.step) == saved
    resumed = keras_cct.resume(tmp_path / "run")
    assert rows_of(resumed) == rows_of(alone)
    assert_same_weights(alone.last_model, resumed.last_model)


@pytest.mark.tensorflow
def test_a_finished_run_resumes_only_with_more_epochs_and_without_its_exports(tmp_path, monkeypatch, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    shutil.copy(alone.best_model, tmp_path / "run" / "average.keras")
    with pytest.raises(keras_cct.InputError, match="has finished its 2 epochs"):
        keras_cct.resume(tmp_path / "run")
    monkeypatch.setattr(training_run, "_finish", lambda *arguments: None)
    keras_cct.resume(tmp_path / "run", epochs=3)
    longer = RunFolder(tmp_path / "run")
    assert [row["epoch"] for row in rows_of(longer)] == ["1", "2", "3"]
    assert keras_cct.load_recipe(longer.recipe).epochs == 3
    assert not any(path.exists() for path in (longer.saved_model, longer.curves, longer.average_model))


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_without_its_exports_gets_them(tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "saved_model")
    assert keras_cct.load_predictor(keras_cct.resume(tmp_path / "run").saved_model).image_shape == (28, 28, 1)


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


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_resumes_with_other_data_only_if_allowed(data, tmp_path, alone, caplog, no_export):
    shutil.copytree(alone.path, tmp_path / "run")
    with np.load(data) as arrays:
        np.savez(tmp_path / "fewer.npz", **{name: array[::2] for name, array in arrays.items()})
    before = (tmp_path / "run" / "recipe.yml").read_text()
    settings = {"epochs": 3, "data_dir": str(tmp_path / "fewer.npz")}
    with pytest.raises(keras_cct.InputError, match=r"data of the run has changed: 40 training images were removed"):
        keras_cct.resume(tmp_path / "run", **settings)
    assert (tmp_path / "run" / "recipe.yml").read_text() == before
    resumed = keras_cct.resume(tmp_path / "run", allow_changed_data=True, **settings)
    assert [row["epoch"] for row in rows_of(resumed)] == ["1", "2", "3"]
    assert "resuming with changed data: 40 training images were removed" in caplog.text
    assert len(DataFingerprint.read(resumed.data).splits[0].labels) == 40  # the new data is that of the run now
    resumed.data.unlink()
    with pytest.raises(keras_cct.InputError, match=r"no data.npz to compare it with"):
        keras_cct.resume(tmp_path / "run", epochs=4)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_interrupted_epoch_of_changed_data_starts_again(data, tmp_path, monkeypatch, no_export):
    with monkeypatch.context() as patch:
        interrupt(patch, 0, 3, signal.SIGTERM)
        with pytest.raises(SystemExit):
            keras_cct.train(recipe_of(data, freeze=True), tmp_path / "run")
    assert RunState.read(tmp_path / "run" / "state.npz").step == 4
    with np.load(data) as arrays:  # 32 images have 2 steps per epoch
        np.savez(tmp_path / "fewer.npz", **{name: array[:32] for name, array in arrays.items()})
    settings = {"data_dir": str(tmp_path / "fewer.npz"), "allow_changed_data": True}
    assert len(rows_of(keras_cct.resume(tmp_path / "run", **settings))) == 2


def test_a_locked_run_names_its_process(tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    with locked(tmp_path / "run"):
        owner = rf"is in use by process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(keras_cct.InputError, match=owner):
            keras_cct.resume(tmp_path / "run", epochs=3)
    with pytest.raises(keras_cct.InputError, match="has finished"):
        keras_cct.resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("path", "problem"), [("/photos/a.png", "cannot read '/photos/a.png'"), (None, "training stopped")]
)
def test_errors_outside_of_the_run_folder_are_no_write_errors(path, problem, data, tmp_path, monkeypatch):
    error = OSError(errno.EIO, "Input/output error", path)

    def fail(*_arguments):
        raise error

    monkeypatch.setattr(training_loop, "_fit_epochs", fail)
    with pytest.raises(keras_cct.InputError, match=f"{problem}: Input/output error.*--resume"):
        keras_cct.train(recipe_of(data), tmp_path / "run")


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
def test_a_state_beyond_the_end_of_its_epoch_is_refused(tmp_path, alone):
    shutil.copytree(alone.path, tmp_path / "run")
    state = RunState.read(tmp_path / "run" / "state.npz")
    dataclasses.replace(state, step=5).write(tmp_path / "run" / "state.npz")
    with pytest.raises(keras_cct.InputError, match="at step 5 of an epoch of 5 steps"):
        keras_cct.resume(tmp_path / "run", epochs=3)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_full_disk_loses_nothing_that_was_saved(data, tmp_path, monkeypatch, alone, no_export):
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


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_run_from_initial_weights_resumes_without_them_from_any_folder(data, tmp_path, monkeypatch, no_export):
    monkeypatch.chdir(tmp_path)
    keras_cct.save_weights_file(keras_cct.create_model("cct_2_3x2_32", input_shape=(28, 28, 1)), "init.safetensors")
    shutil.copy(data, "data.npz")
    recipe = small_recipe(epochs=1, cooldown_epochs=0, dataset="small", data_dir="data.npz", freeze=True)
    folder = keras_cct.train(dataclasses.replace(recipe, initial_checkpoint="init.safetensors"), tmp_path / "run")
    assert keras_cct.load_recipe(folder.recipe).initial_checkpoint == str(tmp_path / "init.safetensors")
    Path("init.safetensors").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(rows_of(keras_cct.resume(folder.path, epochs=2))) == 2


@pytest.mark.one_backend
def test_a_resumed_run_on_a_folder_reads_no_image_to_survey_it(tmp_path, monkeypatch):
    folder = image_folder(tmp_path / "photos", {"cat": 4, "dog": 4})
    recipe = small_recipe(dataset="photos", data_dir=str(folder), batch_size=2, mean=(0.5,), std=(0.2,))
    run = RunFolder.create(tmp_path / "run")
    PreparedRun.prepare(recipe).write_inputs(run)
    # Only the index of the run is left.
    monkeypatch.setattr(survey, "_recent", SurveyIndex())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(survey, "_measure", lambda paths: pytest.fail(f"reads {paths}"))
    PreparedRun.prepare(recipe, None, None, run.index)
