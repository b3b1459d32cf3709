import re

import numpy as np
import pytest
from fixtures.images import image_folder

from keras_cct.cli import main


@pytest.fixture
def npz(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 9, 7, 3), dtype="uint8")
    labels = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])
    return tmp_path / "mine.npz"


def test_stats_print_counts_sizes_mean_and_std(npz, capsys):
    assert main(["data", "stats", str(npz)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:5] == [["0", "1", "1"], ["1", "2", "2"], ["2", "5", "0"], ["all", "8", "3"]]
    assert lines[5] == ["train:", "height", "9", "to", "9,", "width", "7", "to", "7", "pixels"]
    mean = [float(number.strip("[],")) for number in lines[7][1:]]
    with np.load(npz) as arrays:
        np.testing.assert_allclose(mean, (arrays["x_train"] / 255).mean(axis=(0, 1, 2)), atol=6e-5)
    assert lines[8][0] == "std:"


def test_stats_of_a_written_folder_equal_those_of_its_source(npz, tmp_path, capsys):
    main(["data", "stats", str(npz)])
    wanted = capsys.readouterr().out
    assert main(["data", "to-folder", str(npz), str(tmp_path / "folder")]) == 0
    class_map = str(tmp_path / "folder" / "class_map.txt")
    assert f"`--class-map {class_map}` keeps the order of the classes" in capsys.readouterr().out
    assert main(["data", "stats", str(tmp_path / "folder"), "--class-map", class_map]) == 0
    assert capsys.readouterr().out.endswith(wanted)


@pytest.mark.parametrize("source", [[], pytest.param(["{folder}"], marks=pytest.mark.slow)])
def test_show_writes_a_contact_sheet_of_the_config_or_of_another_source(source, tmp_path, capsys):
    image_folder(tmp_path / "pets", {f"{split}/{number}": 1 for split in ("train", "val") for number in range(3)})
    config = ["-c", "cifar10" if source else "sample"]
    arguments = [word.format(folder=tmp_path / "pets") for word in source]
    assert main(["data", "show", *config, *arguments, "--output", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert f"wrote {tmp_path / 'sheet.png'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "pets"], "'pets'"),
        (["stats", "no/folder"], "'no/folder'"),
        (["to-folder", "sample", "{folder}"], "{folder}"),
        (["show", "-c", "nothing"], "no config 'nothing'"),
        (["show", "-c", "cifar10", "{folder}"], "no images found in '{folder}'"),
        (["show", "--model", "cct_9"], "unknown variant 'cct_9'"),
        (["show", "--output", "no/where.png"], "Create 'no'."),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys):
    assert main(["data", *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message.format(folder=tmp_path) in error
    assert re.fullmatch(r"keras_cct data: .*\n", error)
