"""Runs of two processes over loopback, each with one CPU device."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.cluster_process import Recorder
from fixtures.small_run import first_images, replace_export, rows_of, small_recipe

import keras_cct
from keras_cct.cluster.link import EXIT_LOST, connect
from keras_cct.cluster.settings import Cluster
from keras_cct.training import training_loop
from keras_cct.training.folder import RunFolder
from keras_cct.training.processes import check_backend, recipe_facts
from keras_cct.training.state import RunState

TESTS = Path(__file__).parents[1]
only_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="several processes need JAX")

STEPS_PER_EPOCH = 10
KEYS = {"dataset": "small", "recovery_interval": 2, "validation_batch_size_multiplier": 8, "mixup": 0.8, "aa": ""}
# AdamW divides gradients by their size, also those that are rounding error.
KEYS |= {"opt": "sgd", "lr": 0.01}
ALL_KEYS = (
    KEYS
    | {"opt": "adamw", "lr": 0.002}
    | {"cutmix": 1.0, "reprob": 0.5, "remode": "pixel", "aa": "rand-m9-mstd0.5", "model_ema": True}
)


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


class Processes:
    """Starts the processes of a run, and keeps how many seconds lay between the ends of the last two that it ran."""

    seconds_between_ends: float

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{TESTS}{os.pathsep}{TESTS.parent}"
        cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        self.environment = cache | os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
        train, test = first_images("train", 16), first_images("test", 100)
        self.data = folder / "small.npz"
        np.savez(self.data, x_train=train.images, y_train=train.labels, x_test=test.images, y_test=test.labels)

    def keys(self, keys: dict, count: int = 1) -> dict:
        return keys | {"data_dir": str(self.data), "batch_size": 16 // count}

    def run(self, keys: dict, count: int, output: Path, **settings) -> list[subprocess.CompletedProcess]:
        """Returns the finished processes; `outputs` and `signals` give values of single ones by their index."""
        outputs, signals = settings.pop("outputs", {}), settings.pop("signals", {})
        settings |= {"count": count, "port": free_port(), "keys": self.keys(keys, count)}
        each = [
            settings | {"index": index, "output": str(outputs.get(index, output))} | signals.get(index, {})
            for index in range(count)
        ]
        with ThreadPoolExecutor(count) as pool:
            finished, ends = zip(*pool.map(self._run, each), strict=True)
        self.seconds_between_ends = max(ends) - min(ends)
        return list(finished)

    def _run(self, settings: dict) -> tuple[subprocess.CompletedProcess, float]:
        command = [sys.executable, str(TESTS / "fixtures" / "cluster_process.py"), json.dumps(settings)]
        finished = subprocess.run(
            command, check=False, env=self.environment, capture_output=True, text=True, timeout=400
        )
        return finished, time.monotonic()


def losses_of(process: subprocess.CompletedProcess) -> list[float]:
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Processes:
    return Processes(tmp_path_factory.mktemp("processes"))


def assert_equal_weights(run: Path, other: Path) -> None:
    ours, theirs = (keras.models.load_model(folder / "last.keras").weights for folder in (run, other))
    for weight, expected in zip(ours, theirs, strict=True):
        # The softmax of the pool ignores this bias: its gradient is rounding error, which AdamW scales up.
        if weight.path != "sequence_pool/score/bias":
            np.testing.assert_allclose(weight.numpy(), expected.numpy(), atol=1e-5, err_msg=weight.path)


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@only_jax
def test_two_processes_train_as_one_and_only_the_first_writes(processes, monkeypatch):
    replace_export(monkeypatch)
    recorder, callbacks_of_run = Recorder(None, None), training_loop.create_callbacks
    monkeypatch.setattr(training_loop, "create_callbacks", lambda *run: [recorder, *callbacks_of_run(*run)])
    alone = keras_cct.train(small_recipe(**processes.keys(ALL_KEYS)), processes.folder / "alone")
    both = processes.folder / "both"
    first, second = processes.run(ALL_KEYS, 2, both, outputs={1: Path("/proc/no-such-folder")})
    assert losses_of(first) == losses_of(second)
    assert len(losses_of(first)) == 2 * STEPS_PER_EPOCH
    np.testing.assert_allclose(losses_of(first), recorder.losses, rtol=1e-6)
    assert_equal_weights(both, alone.path)
    for ours, theirs in zip(rows_of(RunFolder(both)), rows_of(alone), strict=True):
        assert ours["eval_top1"] == theirs["eval_top1"]  # of 1,000 images in batches of 128
        assert float(ours["eval_loss"]) == pytest.approx(float(theirs["eval_loss"]), rel=1e-6)


@only_jax
def test_a_killed_process_ends_the_other_and_the_run_resumes_with_any_number(processes, monkeypatch):
    replace_export(monkeypatch)
    alone = keras_cct.train(small_recipe(**processes.keys(KEYS)), processes.folder / "uninterrupted")
    output = processes.folder / "killed"
    first, second = processes.run(KEYS, 2, output, signals={1: {"step": 13, "signal": signal.SIGKILL}})
    assert (first.returncode, second.returncode) == (EXIT_LOST, -signal.SIGKILL)
    assert processes.seconds_between_ends < 60
    assert "process 0 ends: process 1 on 127.0.0.1 was lost" in first.stderr
    assert f"Start all processes again, with --resume {output}" in first.stderr
    copy = Path(shutil.copytree(output, processes.folder / "copy"))
    before = times_of(copy)
    first, second = processes.run(
        KEYS, 2, output, outputs={1: copy}, resume=True, signals={0: {"step": 3, "signal": signal.SIGKILL}}
    )
    assert times_of(copy) == before
    assert first.returncode == -signal.SIGKILL
    assert processes.seconds_between_ends < 60
    assert second.returncode not in (0, -signal.SIGKILL)
    assert "process 1 ends: process 0 on 127.0.0.1 was lost" in second.stderr
    keras_cct.resume(output)
    assert_equal_weights(output, alone.path)


@only_jax
@pytest.mark.slow
def test_sigterm_in_one_process_ends_all_after_the_same_step(processes):
    output = processes.folder / "terminated"
    for process in processes.run(KEYS, 2, output, signals={1: {"step": 3, "signal": signal.SIGTERM}}):
        assert process.returncode == 128 + signal.SIGTERM, process.stderr[-2000:]
    state = RunState.read(RunFolder(output).state)
    assert state.epoch or state.step >= 3


@only_jax
def test_processes_with_another_recipe_or_other_images_are_refused(tmp_path):
    recipe = small_recipe()
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        facts = recipe_facts(small_recipe(epochs=3))
        other = pool.submit(connect, Cluster(f"127.0.0.1:{port}", 2, 1), facts)
        with pytest.raises(keras_cct.InputError, match="has recipe key epochs=3, process 0 has 2"):
            keras_cct.train(recipe, tmp_path / "run", cluster=Cluster(f"127.0.0.1:{port}", 2, 0))
        assert isinstance(other.exception(30), keras_cct.InputError)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX supports it")
def test_other_backends_are_refused_before_anything_happens(tmp_path):
    with pytest.raises(keras_cct.InputError, match="the JAX backend only, got .* --backend jax"):
        check_backend()
    with pytest.raises(keras_cct.InputError, match="the JAX backend only"):
        keras_cct.train(small_recipe(), tmp_path / "run", cluster=Cluster("127.0.0.1:1", 2, 0))
    assert not (tmp_path / "run").exists()
