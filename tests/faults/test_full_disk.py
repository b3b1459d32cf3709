"""A full disk is one line with the path, and leaves nothing behind."""

import os
import subprocess

import pytest
from fixtures.weight_files import ENDINGS, filled_model, skip_without_torch

import keras_cct
from keras_cct.cli import main

NUM_BYTES = 400_000
"""Size of the file system; the weights below have 950 kB."""


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system that is too small for the weights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={NUM_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system requires root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_full_disk_is_one_line_and_leaves_nothing(ending, small_disk):
    skip_without_torch(ending)
    path = small_disk / f"weights{ending}"
    with pytest.raises(OSError, match="No space left on device") as error:
        keras_cct.save_weights_file(filled_model("vit_2_4_32"), path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert list(small_disk.iterdir()) == []


def test_command_ends_with_one_line(small_disk, tmp_path, capfd):
    keras_cct.save_weights_file(filled_model("vit_2_4_32"), tmp_path / "source.safetensors")
    for ending in (".weights.h5", ".keras"):
        target = str(small_disk / f"target{ending}")
        assert main(["convert", str(tmp_path / "source.safetensors"), target, "--model", "vit_2_4_32"]) == 2
        errors = capfd.readouterr().err
        (line,) = [line for line in errors.splitlines() if "keras_cct" in line]
        assert "No space left on device" in line
        assert target in line
        assert "Traceback" not in errors
    assert list(small_disk.iterdir()) == []
