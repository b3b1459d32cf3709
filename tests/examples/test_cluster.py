"""The files for schedulers: what they run is a command that the package accepts."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from keras_cct.cli import create_parser
from keras_cct.recipe.loading import load_recipe

CLUSTER = Path(__file__).parents[2] / "examples" / "cluster"


def assert_is_accepted(command: list[str]) -> None:
    assert command[0] == "keras_cct"
    options = create_parser().parse_args(command[1:])
    assert options.distributed
    assert options.backend == "jax"
    if options.config is not None:
        load_recipe(options.config)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Commands that note their arguments in place of those of SLURM; `srun` exits with the code in the file `code`."""
    for name, code in (("srun", "exit $(cat code)"), ("scontrol", "exit 0")):
        (tmp_path / name).write_text(f'#!/bin/bash\nprintf "%s\\n" "$*" >> {name}.log\n{code}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("RUN", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("code", "is_requeued"), [(0, False), (2, False), (75, True), (143, True)])
def test_a_slurm_job_is_queued_again_after_what_can_be_resumed(slurm, code, is_requeued):
    (slurm / "code").write_text(str(code))
    done = subprocess.run(["bash", CLUSTER / "train.sbatch"], check=False)
    assert done.returncode == code
    _, *command = shlex.split((slurm / "srun.log").read_text())
    assert_is_accepted(command)
    assert "--output" in command
    assert (slurm / "scontrol.log").exists() == is_requeued
    assert not is_requeued or (slurm / "scontrol.log").read_text() == "requeue 7\n"


def test_a_slurm_job_resumes_its_run(slurm):
    (slurm / "code").write_text("0")
    (slurm / "run").mkdir()
    (slurm / "run" / "recipe.yml").touch()
    subprocess.run(["bash", CLUSTER / "train.sbatch"], check=True)
    _, *command = shlex.split((slurm / "srun.log").read_text())
    assert_is_accepted(command)
    assert command[-2:] == ["--resume", str(slurm / "run")]


def test_the_kubeflow_manifest_runs_commands_that_exist():
    job = yaml.safe_load((CLUSTER / "trainjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("trainer.kubeflow.org/v1alpha1", "TrainJob")
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["bash", "-c"]
    (script,) = trainer["args"]
    subprocess.run(["bash", "-n", "-c", script], check=True)
    commands = [line.split("exec ")[1] for line in script.splitlines() if "exec " in line]
    assert len(commands) == 2
    for command in commands:
        assert_is_accepted(shlex.split(command))
    (patch,) = job["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == [
        mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]
    ]
