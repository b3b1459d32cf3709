import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fixtures.images import image_folder
from fixtures.run_folders import make_run, tiny_images
from fixtures.small_run import small_data

import keras_cct
from keras_cct import cli
from keras_cct.cli import main
from keras_cct.cli import train as train_command
from keras_cct.report import comparison, run_metrics
from keras_cct.training import prepared_run
from keras_cct.training import run as training_run


def test_models_lists_what_the_pattern_selects(capsys):
    assert main(["models", "cct_14*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == keras_cct.list_models("cct_14*")
    assert lines[1].split() == ["cct_14_7x2_224", "224x224", "1000", "imagenet"]


def test_models_lists_the_published_weights(capsys):
    assert main(["models", "cct_14*", "--pretrained"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["cct_14_7x2_224", "imagenet", "224x224", "1000", "310", "80.67", "89.5"]
    assert [line[0] for line in lines[2:]] == ["cct_14_7x2_384", "cct_14_7x2_384_fl"]


def test_models_lists_the_weights_in_the_package(capsys):
    assert main(["models", "cct_2_3x2_32", "--pretrained"]) == 0
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.split() == ["cct_2_3x2_32", "fashion_mnist", "28x28", "10", "60", "93.17", "1.1"]


def test_convert_and_predict_with_names(capsys, tmp_path):
    files = [str(tmp_path / name) for name in ("model.keras", "weights.safetensors", "named.keras")]
    assert main(["convert", "fashion_mnist", files[0], "--model", "cct_2_3x2_32"]) == 0
    assert main(["convert", *files[:2]]) == 0
    settings = ["--model", "cct_2_3x2_32", "--img-size", "28", "--mean", "0.286", "--std", "0.353"]
    (tmp_path / "names.txt").write_text("\n".join(keras_cct.class_names("fashion_mnist")))
    assert main(["convert", *files[1:], *settings, "--class-names", str(tmp_path / "names.txt")]) == 0
    sizes = ("1.2", "1.1", "1.2")
    written = [f"wrote {file}, {size} MB" for file, size in zip(files, sizes, strict=True)]
    assert capsys.readouterr().out.splitlines() == written
    for file in (files[0], files[2]):
        assert main(["predict", file, "examples/images/sneaker.png", "--top", "1"]) == 0
    first, second = re.findall(r"([\d.]+ %  \S+)", capsys.readouterr().out)
    assert first == second
    assert first.endswith("sneaker")


def test_a_checkpoint_folder_is_named_by_a_flag(capsys, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an extra")
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", "")
    arguments = ["convert", "cifar10", str(tmp_path / "model.keras"), "--model", "cct_7_3x1_32"]
    assert main([*arguments, "--checkpoint-dir", str(tmp_path)]) == 2
    missing = tmp_path / "cct_7_3x1_32_cifar10_300epochs.pth"
    assert f"{str(missing)!r} does not exist" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.tensorflow
def test_train_evaluate_export_and_predict(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared_run, "open_data", small_data)
    monkeypatch.setattr(run_metrics, "open_data", small_data)
    run = tmp_path / "run"
    overrides = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16", "--mean", "0.3", "--std", "0.3"]
    assert main(["train", "--output", str(run), *overrides]) == 0
    assert keras_cct.load_recipe(run / "recipe.yml").mean == (0.3,)
    assert capsys.readouterr().out.splitlines()[-1] == f"report in {run / 'report.html'}"
    assert json.loads((run / "metrics.json").read_text())["numbers"]["num_images"] == 40
    assert main(["export", str(run), str(tmp_path / "served")]) == 0
    capsys.readouterr()
    outputs = []
    for artifact in (run / "best.keras", tmp_path / "served", run):
        assert main(["evaluate", str(artifact)]) == 0
        assert main(["predict", str(artifact), "examples/images/sneaker.png", "--top", "3"]) == 0
        accuracy, metrics, calibration, *predictions = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"loss \d+\.\d{4}, macro F1 \d+\.\d\d %, [\d,]+ images/s", metrics)
        assert re.fullmatch(r"calibration error [\d.]+ %, [\d.]+ % with temperature [\d.]+", calibration)
        outputs.append((accuracy, *predictions))
    assert re.fullmatch(r"1000 images: top-1 \d+\.\d\d %, top-5 \d+\.\d\d %", outputs[0][0])
    assert outputs[0][1] == "examples/images/sneaker.png"
    assert len(outputs[0]) == 5
    assert outputs == [outputs[0]] * 3


@pytest.fixture
def trained(monkeypatch):
    """Stands in for the training of a series, and returns the recipes in their order."""
    recipes = []

    def fake_train(recipe, output, **_settings):
        recipes.append(recipe)
        keys = {key: getattr(recipe, key) for key in ("seed", "split_seed", "folds", "fold")}
        make_run(output, top1=50 + len(recipes), **keys)

    monkeypatch.setattr(training_run, "train", fake_train)
    monkeypatch.setattr(run_metrics, "open_data", tiny_images)
    return recipes


@pytest.fixture
def no_reports(monkeypatch):
    monkeypatch.setattr(train_command, "_write_report", lambda _run: None)
    monkeypatch.setattr(comparison, "write_comparison", lambda _runs, output, **_settings: output)
    monkeypatch.setattr(comparison, "summarize_runs", lambda _runs: "")


@pytest.mark.slow
def test_seeds_are_trained_into_one_folder_and_compared(trained, capsys, tmp_path):
    assert main(["train", "--seeds", "2", "--seed", "8", "--output", str(tmp_path / "runs")]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["comparison.html", "seed-8", "seed-9"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"comparison in {tmp_path / 'runs' / 'comparison.html'}"
    assert re.fullmatch(r"top-1 .* ± .* %, macro F1 .* ± .* %, loss .* \(mean .* of 2 runs\)", lines[-2])
    assert lines[0] == f"report in {tmp_path / 'runs' / 'seed-8' / 'report.html'}"
    assert "seeds 8, 9" in (tmp_path / "runs" / "comparison.html").read_text()
    assert main(["train", "--seeds", "2", "--output", str(tmp_path / "runs")]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "split_seed"), [([], 8), (["--split-seed", "3"], 3)])
def test_all_seeds_of_a_series_have_the_split_of_the_first(flags, split_seed, trained, no_reports, tmp_path):
    assert main(["train", "--seeds", "3", "--seed", "8", "--output", str(tmp_path / "runs"), *flags]) == 0
    assert [(recipe.seed, recipe.split_seed) for recipe in trained] == [(seed, split_seed) for seed in (8, 9, 10)]


def test_folds_are_trained_into_one_folder_and_compared(trained, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(train_command, "_write_report", lambda _run: None)
    image_folder(tmp_path / "pets", {"cat": 4, "dog": 4})
    arguments = ["train", str(tmp_path / "pets"), "--folds", "2", "--output", str(tmp_path / "runs")]
    assert main(arguments) == 0
    assert [(recipe.folds, recipe.fold, recipe.seed) for recipe in trained] == [(2, fold, 42) for fold in (1, 2)]
    names = [path.name for path in sorted((tmp_path / "runs").iterdir())]
    assert names == ["comparison.html", "fold-1", "fold-2"]
    assert "of 2 runs" in capsys.readouterr().out.splitlines()[-2]
    assert "folds 1, 2" in (tmp_path / "runs" / "comparison.html").read_text()


def test_one_fold_is_one_run(trained, no_reports, tmp_path):
    image_folder(tmp_path / "pets", {"cat": 6, "dog": 6})
    flags = ["--folds", "3", "--fold", "2", "--output", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "pets"), *flags]) == 0
    assert [recipe.fold for recipe in trained] == [2]
    assert (tmp_path / "run" / "recipe.yml").is_file()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.keras"
    keras_cct.create_model("cct_2_3x2_32").save(file)
    return file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "cct_7_3x3_32"], "unknown variant 'cct_7_3x3_32'. Did you mean"),
        (["train", "--epochs", "few"], "recipe key epochs must be an integer, got 'few'"),
        (["train", "--seed", "5000000000"], "recipe key seed must be at least 0 and at most 2147483647"),
        (["train", "--output", ""], "'.'"),
        (["train", "--output", "{model}"], "model.keras'"),
        (["train", "--reprob", "2", "--output", "{folder}/run"], "reprob must be at least 0 and at most 1, got 2.0"),
        (["train", "--aa", "keras.X", "--aa-args", "a=["], "aa_args must be a list of name=value, got ['a=[']"),
        (["train", "--allow-changed-data"], "--allow-changed-data has no effect without --resume"),
        (["train", "nodata", "--output", "{folder}/run"], "unknown dataset 'nodata'"),
        (["train", "--resume", "{folder}", "-c", "sample"], "--config 'sample' conflicts with --resume"),
        (["train", "--output", "a", "--experiment", "b"], "--output 'a' conflicts with --experiment 'b'"),
        (["train", "--aa", "autoaugment", "--output", "{folder}/run"], "autoaugment"),
        (["train", "-c", "nowhere.yml"], "no config 'nowhere.yml'"),
        (["train", "--output", "{folder}"], "folder'"),
        (["models", "resnet*"], "no variant matches 'resnet*'"),
        (["evaluate", "none.keras"], "no model at 'none.keras'"),
        (["evaluate", "{model}", "--crop-pct", "0.01"], "--crop-pct must be at least 0.05 and at most 1, got 0.01"),
        (["evaluate", "{model}", "--label-map", "none.csv"], "'none.csv' does not exist"),
        (["evaluate", "{model}", "--report", "{folder}"], "exists already"),
        (["report", "{folder}"], "is not a run folder and contains none"),
        (["report", "none"], "'none' is not a run folder"),
        (["report", "none", "--output", "a.txt"], "--output must end in .html, got 'a.txt'"),
        (["train", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["train", "--folds", "3", "--output", "{folder}/run"], "'sample' has fixed splits"),
        (["train", "--folds", "1"], "folds must be 0 or at least 2, got 1"),
        (
            ["train", "--folds", "3", "--fold", "4", "--output", "{folder}/run"],
            "fold must be in [1, 3] with folds=3, got 4",
        ),
        (["train", "--folds", "3", "--seeds", "2", "--output", "{folder}/run"], "--seeds 2 conflicts with folds=3"),
        (["train", "--seeds", "2", "--resume", "{folder}"], "--seeds 2 conflicts with --resume"),
        (["evaluate", "{folder}"], "is neither a .keras file nor an exported artifact"),
        (["predict", "{model}", "none.png"], "'none.png'"),
        (["predict", "{model}", "{folder}/notes.txt"], "notes.txt'"),
        (["predict", "{model}", "a.png", "--top", "0"], "--top"),
        (["convert", "{model}", "{model}"], "exists already"),
        (
            ["convert", "{model}", "new.safetensors", "--mean", "0.5"],
            "--mean and --std must be passed together, got only --mean",
        ),
        (["convert", "{model}", "new.safetensors", "--img-size", "8", "8"], "img_size=[8, 8]"),
        (["convert", "none.safetensors", "new.keras"], "none.safetensors'"),
        (["convert", "resnet", "new.keras", "--model", "cvt_2_4_32"], "'resnet'"),
        (["convert", "x.pth", "new.keras", "--model", "cvt_2_4_32", "--class-names", "x"], "no class names for"),
        (["convert", "x.pth", "new.keras", "--class-names", "{model}"], "--class-names='"),
        (["export", "{folder}/notes.txt", "{folder}/served"], "notes.txt'"),
        (["export", "{model}", "{folder}"], "exists already"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, model_file, capsys, tmp_path, monkeypatch):
    shutil.copy(model_file, tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("not a model")
    shutil.copytree("examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    names = {"model": tmp_path / "model.keras", "folder": tmp_path / "folder"}
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(**names) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["train", "--patch-size", "3"], "keras_cct train"),
        (["predict", "a", "b", "--top", "x"], "keras_cct predict"),
        (["predict", "a"], "keras_cct predict"),
        (["data", "stats"], "keras_cct data stats"),
        (["data"], "keras_cct data"),
        (["frob"], "keras_cct"),
        (["--frob"], "keras_cct"),
        (["train", "a", "line\x1dseparated\nby controls"], "keras_cct train"),
    ],
)
def test_usage_errors_are_one_line_with_the_help_of_the_command(arguments, command, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert re.fullmatch(rf"{command}: .*\. Run `{command} --help`\.\n", capsys.readouterr().err)


def flags_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yields the command and the action of every flag that takes a value, and is not one to refuse."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from flags_of(command)
        elif action.option_strings and action.nargs != 0 and action.help is not argparse.SUPPRESS:
            yield parser.prog, action


def test_every_flag_shows_its_type_and_its_default():
    flags = list(flags_of(cli.create_parser()))
    assert len(flags) > 100
    for command, action in flags:
        assert re.search(r"default: |required", action.help), (command, action.option_strings)
        assert action.metavar or action.choices or action.dest == "config", (command, action.option_strings)


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    output = capsys.readouterr().out
    assert output.startswith("usage: keras_cct ")
    assert "train" in output


def test_the_version_is_that_of_the_installed_package(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert capsys.readouterr().out == f"keras_cct {importlib.metadata.version('keras_cct')}\n"


def test_ctrl_c_names_the_command_that_continues(capsys, tmp_path, monkeypatch):
    def interrupt(*_arguments, **_options):
        (tmp_path / "run").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "train", interrupt)
    assert main(["train", "--output", str(tmp_path / "run")]) == 130
    assert f"`keras_cct train --resume {tmp_path / 'run'}`" in capsys.readouterr().err


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "keras_cct", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_broken_jpeg_is_one_line_of_the_whole_process(model_file, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    done = run_cli("predict", str(model_file), str(tmp_path / "broken.jpg"))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"keras_cct predict: .*broken.jpg.*\n", done.stderr)


def test_a_backend_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "model.keras").touch()
    done = run_cli("evaluate", str(tmp_path / "model.keras"), KERAS_BACKEND="theano")
    assert done.returncode == 2
    assert done.stderr.startswith("keras_cct evaluate: cannot import the backend KERAS_BACKEND='theano': ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["train", "--help"], ["predict", "--help"], ["models"], ["train", "--print-recipe"]]
)
def test_commands_work_without_docstrings(arguments):
    command = [sys.executable, "-OO", "-m", "keras_cct", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 200
