"""A folder that cannot be written is one line, before anything is read or trained."""

import os
import subprocess

import pytest
from fixtures.small_run import small_recipe

import keras_cct
from keras_cct.training.folder import RunFolder


@pytest.fixture
def read_only(tmp_path):
    """A folder with a run on a read-only file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system requires root")
    RunFolder.create(folder / "run").write_recipe(small_recipe().to_yaml())
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_run_on_a_read_only_disk_does_not_resume(read_only):
    with pytest.raises(keras_cct.InputError, match=r"cannot write '.*run/.lock': Read-only file system"):
        keras_cct.resume(read_only / "run")


def test_a_new_run_on_a_read_only_disk_is_refused(read_only):
    with pytest.raises(keras_cct.InputError, match="cannot be created: Read-only file system"):
        RunFolder.create(read_only / "new")


def test_weights_are_not_written_to_a_read_only_disk(read_only):
    model = keras_cct.create_model("vit_2_4_32", num_layers=1, dim=8)
    with pytest.raises(OSError, match="Read-only file system") as error:
        keras_cct.save_weights_file(model, read_only / "model.keras")
    assert str(read_only / "model.keras") in str(error.value)
