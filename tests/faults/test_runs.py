"""Runs that are killed at any moment, stopped by a scheduler, or started twice end like uninterrupted ones.

`make faults` kills more often, with more of the recipe, and starts the last process twice: KERAS_CCT_FAULTS is the
number of kills.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.small_run import assert_same_weights, replace_export, rows_of, small_archive

import keras_cct
from keras_cct.cli import main
from keras_cct.training.folder import RunFolder

NUM_KILLS = int(os.environ.get("KERAS_CCT_FAULTS", "1"))
SEED = int(os.environ.get("KERAS_CCT_FAULTS_SEED", "3"))
KEYS = {
    "dataset": "small",
    "epochs": 6 + 2 * NUM_KILLS,
    "batch-size": 16,
    "warmup-epochs": 1,
    "cooldown-epochs": 0,
    "recovery-interval": 2,
    "checkpoint-hist": 2,
    "mixup": 0.8,
}
AUGMENTATION = {"aa": "rand-m9-mstd0.5-inc1", "cutmix": 1.0, "reprob": 0.25, "remode": "pixel"}
if "KERAS_CCT_FAULTS" in os.environ:
    KEYS |= AUGMENTATION
FLAGS = ["--model-ema", *(word for key, value in KEYS.items() for word in (f"--{key}", str(value)))]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_archive(tmp_path_factory.mktemp("data") / "small.npz")


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> RunFolder:
    """An uninterrupted run, in this process."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "alone")
    with pytest.MonkeyPatch.context() as patch:
        replace_export(patch)
        assert main(["train", *FLAGS, "--output", str(folder.path), str(data)]) == 0
    return folder


def start(*arguments) -> subprocess.Popen:
    command = [sys.executable, "-m", "keras_cct", "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_a_new_state(process: subprocess.Popen, state: Path) -> None:
    before = state.stat().st_mtime_ns if state.exists() else None
    while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
        time.sleep(0.01)


def assert_equals_uninterrupted(run: RunFolder, alone: RunFolder) -> None:
    assert rows_of(run) == rows_of(alone)
    names = [
        sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*.keras")) for folder in (alone, run)
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 8  # best, last and two checkpoints, each averaged and raw
    for name in names[0]:
        assert_same_weights(alone.path / name, run.path / name)


def kill(process: subprocess.Popen, state: Path, moments: random.Random) -> None:
    # One of four kills comes at any moment after the start; before the first state, the run would start again.
    if state.exists() and moments.random() < 0.25:
        time.sleep(moments.uniform(0, 10))
    else:
        wait_for_a_new_state(process, state)
        time.sleep(moments.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors


def terminate(process: subprocess.Popen, run: RunFolder) -> None:
    """Checks that a run is locked, then stops it as schedulers do."""
    wait_for_a_new_state(process, run.state)
    owner = f"is in use by process {process.pid} on {socket.gethostname()}"
    with pytest.raises(keras_cct.InputError, match=owner):
        keras_cct.resume(run.path)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 143, errors
    hint = f"keras_cct train: terminated. Resume with `keras_cct train --resume {run.path}`."
    assert errors.splitlines()[-1] == hint


def finish_one_of_two(run: RunFolder) -> None:
    """Resumes a run in two processes, one of which is refused."""
    resumed = [start("--resume", run.path) for _ in range(2)]
    outputs = [process.communicate()[1] for process in resumed]
    codes = [process.returncode for process in resumed]
    assert sorted(codes) == [0, 2], outputs
    refused, accepted = (outputs[codes.index(code)] for code in (2, 0))
    assert "is in use by process" in refused or "has finished" in refused
    assert "Traceback" not in refused + accepted


@pytest.mark.slow
def test_a_run_that_is_killed_and_terminated_ends_like_an_uninterrupted_one(data, tmp_path, alone, monkeypatch):
    run, moments = RunFolder(tmp_path / "killed"), random.Random(SEED)
    process = start(*FLAGS, "--output", run.path, data)
    for _ in range(NUM_KILLS):
        kill(process, run.state, moments)
        process = start("--resume", run.path)
    terminate(process, run)
    if "KERAS_CCT_FAULTS" in os.environ:
        finish_one_of_two(run)
    else:  # in this process, which has TensorFlow already
        replace_export(monkeypatch)
        assert main(["train", "--resume", str(run.path)]) == 0
    print(f"{NUM_KILLS} kills with seed {SEED}")
    assert_equals_uninterrupted(run, alone)
