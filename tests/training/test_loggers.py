import logging
import sys
import time
import types
from pathlib import Path

import pytest
import tensorflow as tf

import keras_cct
from keras_cct.training.folder import RunFolder
from keras_cct.training.loggers import Progress, check_wandb, duration, event_writer, wandb_writer


def test_rows_become_scalars_by_epoch(tmp_path):
    write = event_writer(tmp_path)
    for epoch, loss in enumerate((2.5, 1.5), start=1):
        write({"epoch": epoch, "train_loss": loss, "eval_top1": 10.0 * epoch})
    (file,) = tmp_path.iterdir()
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    scalars = [(event.step, value) for event in events for value in event.summary.value]
    found = [(step, value.tag, float(tf.make_ndarray(value.tensor))) for step, value in scalars]
    assert found == [(1, "train_loss", 2.5), (1, "eval_top1", 10.0), (2, "train_loss", 1.5), (2, "eval_top1", 20.0)]
    assert {value.metadata.plugin_data.plugin_name for _, value in scalars if value.HasField("metadata")} == {"scalars"}


def test_nothing_is_written_without_rows(tmp_path):
    event_writer(tmp_path)
    events = [record for file in tmp_path.iterdir() for record in tf.data.TFRecordDataset(str(file))]
    assert len(events) == 1  # the version of the format


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("num_classes", "top5"), [(6, ", top-5 90.00 %"), (5, "")])
def test_log_lines_have_labeled_metrics_throughput_and_remaining_time(num_classes, top5, monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    caplog.set_level(logging.INFO, "keras_cct")
    callback = Progress(num_epochs=3, num_steps=10, batch_size=64, first_step=4, num_classes=num_classes)
    metrics = {"loss": 2.0, "top1": 0.4, "val_loss": 1.5, "val_top1": 0.5, "val_top5": 0.9}
    callback.on_epoch_begin(0)
    for batch in range(6):  # the last six of ten steps, 8 seconds each; compiling the first one takes 12 seconds
        clock[0] += 8.0 + 12.0 * (batch == 0)
        callback.on_train_batch_end(batch, {"loss": 2.0})
    callback.on_test_begin()
    for batch in range(4):
        clock[0] += 1.0 + 30.0 * (batch == 0)
        callback.on_test_batch_end(batch)
    callback.on_epoch_end(0, metrics)
    step, epoch = caplog.messages
    # Three of six steps are done after 36 seconds: three are left, and two epochs of ten.
    assert step == "epoch 1 of 3, step 7 of 10: training loss 2.0000, 8 images/s, 3 min 4 s left"
    metrics = f"training loss 2.0000, top-1 40.00 %; validation loss 1.5000, top-1 50.00 %{top5}"
    assert epoch == f"epoch 1 of 3: {metrics}, 8 images/s, 2 min 48 s left"


def test_a_step_that_was_compiled_for_minutes_gives_no_estimate(monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    caplog.set_level(logging.INFO, "keras_cct")
    callback = Progress(num_epochs=1, num_steps=10, batch_size=64, first_step=0, num_classes=5)
    callback.on_epoch_begin(0)
    for batch, seconds in enumerate((300.0, 8.0)):
        clock[0] += seconds
        callback.on_train_batch_end(batch, {"loss": 2.0})
    assert caplog.messages == ["epoch 1 of 1, step 2 of 10: training loss 2.0000, 8 images/s, 1 min 4 s left"]


class Runs(types.ModuleType):
    """Stands in for wandb and records its calls."""

    def __init__(self):
        super().__init__("wandb")
        self.started, self.logged = [], []

    def init(self, **settings):
        self.started.append(settings)
        return self

    def log(self, row, step):
        self.logged.append((step, row))


def test_a_folder_logs_to_one_run_of_wandb(monkeypatch, tmp_path):
    wandb = Runs()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = RunFolder.create(tmp_path / "first")
    write = wandb_writer(folder, {"lr": 0.1})
    write({"epoch": 1, "train_loss": 1.0})
    (settings,) = wandb.started
    assert settings["config"] == {"lr": 0.1}
    assert settings["reinit"] == "finish_previous"  # the next run of a series is another one
    assert (settings["name"], settings["resume"], Path(settings["dir"])) == ("first", "allow", folder.path)
    wandb_writer(folder, {"lr": 0.1})
    wandb_writer(RunFolder.create(tmp_path / "second"), {"lr": 0.1})
    first, again, second = [settings["id"] for settings in wandb.started]
    assert first == again != second
    assert wandb.logged == [(1, {"epoch": 1, "train_loss": 1.0})]


def test_a_missing_wandb_is_reported_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(keras_cct.InputError, match="pip install wandb"):
        check_wandb()


def test_event_files_that_cannot_be_written_are_an_os_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file is not a directory") as error:
        event_writer(tmp_path / "file" / "tensorboard")
    assert error.value.filename == str(tmp_path / "file" / "tensorboard")
