import json
import shutil

import numpy as np
import pytest
from fixtures.run_folders import CLASS_NAMES, make_run

import keras_cct
from keras_cct.cli import create_parser, main
from keras_cct.evaluation import evaluate as evaluation


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns the folder of a model, of images whose classes are numbers, and of a label map."""
    folder = tmp_path_factory.mktemp("evaluate")
    model = keras_cct.create_model("cvt_2_4_32", input_shape=(8, 8, 3), num_classes=3, class_names=CLASS_NAMES)
    model.save(folder / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype="uint8")
    labels = np.arange(20) % 2
    np.savez(folder / "data.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    (folder / "map.csv").write_text(f"0,{CLASS_NAMES[2]}\n1,{CLASS_NAMES[0]}\n")
    return folder


def test_evaluate_writes_a_folder_for_mapped_classes(files, capsys):
    arguments = [str(files / "model.keras"), str(files / "data.npz"), "--label-map", str(files / "map.csv")]
    assert main(["evaluate", *arguments, "--tta", "five-crop", "--report", str(files / "report")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("20 images: top-1 ")
    assert lines[-1] == f"wrote {files / 'report'}"
    metrics = json.loads((files / "report" / "metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_classes"]) == (20, 3)
    assert f"top-1 {metrics['top1']:.2f} %" in lines[0]


def test_other_classes_without_a_label_map_are_refused(files, capsys):
    assert main(["evaluate", str(files / "model.keras"), str(files / "data.npz"), "--report", str(files / "new")]) == 2
    error = capsys.readouterr().err
    assert "the model has 3 classes, but the dataset has 2" in error
    assert "pass a label map" in error
    assert len(error.splitlines()) == 1
    assert not (files / "new").exists()


@pytest.mark.parametrize("path", ["", "best.keras", "checkpoints/epoch-0001.keras", "deploy/saved_model/1"])
def test_flags_of_a_source_are_refused_for_the_images_of_the_run(path, tmp_path, capsys):
    run = make_run(tmp_path / "run")
    if path:
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).touch()
    assert main(["evaluate", str(run / path), "--val-split", "test"]) == 2
    assert "--val-split test has no effect without DATA" in capsys.readouterr().err


def test_data_may_follow_the_flags():
    options = create_parser().parse_args(["evaluate", "run", "--tta", "hflip", "photos"])
    assert (options.model, options.source) == ("run", "photos")
    for command in (["evaluate", "run", "photos", "--tta", "hflip", "more"], ["export", "run", "out", "more"]):
        with pytest.raises(SystemExit):
            create_parser().parse_args(command)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], (0.6, "bilinear")),
        (["--crop-pct", "0.9", "--interpolation", "bicubic"], (0.9, "bicubic")),
        (["--tta", "five-crop"], (0.6, "bilinear")),
    ],
)
def test_a_run_is_evaluated_with_the_crop_of_its_recipe(flags, expected, files, tmp_path, monkeypatch):
    shutil.copy(files / "model.keras", tmp_path / "best.keras")
    recipe = "model: cvt_2_4_32\ndataset: mine\ncrop_pct: 0.6\ninterpolation: bilinear\n"
    (tmp_path / "recipe.yml").write_text(recipe)
    calls, evaluate = [], evaluation.evaluate

    def spy(*arguments, **keys):
        calls.append((keys["crop_pct"], keys["interpolation"]))
        return evaluate(*arguments, **keys)

    monkeypatch.setattr(evaluation, "evaluate", spy)
    arguments = [str(tmp_path), str(files / "data.npz"), "--label-map", str(files / "map.csv")]
    assert main(["evaluate", *arguments, *flags]) == 0
    assert calls == [expected]
