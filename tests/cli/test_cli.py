import dataclasses
import os
import re
import shutil
import subprocess
import sys

import pytest
from fixtures.small_run import small_data

import keras_cct
from keras_cct.cli import main
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
    assert line.split() == ["cct_2_3x2_32", "fashion_mnist", "28x28", "10", "25", "89.20", "1.1"]


def test_convert_and_predict_with_names(capsys, tmp_path):
    files = [str(tmp_path / name) for name in ("model.keras", "weights.safetensors", "named.keras")]
    assert main(["convert", "fashion_mnist", files[0], "--model", "cct_2_3x2_32"]) == 0
    assert main(["convert", *files[:2]]) == 0
    settings = ["--model", "cct_2_3x2_32", "--img-size", "28", "--mean", "0.286", "--std", "0.353"]
    assert main(["convert", *files[1:], *settings, "--class-names", "fashion_mnist"]) == 0
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
    assert f"{str(missing)!r} is missing in the checkpoint folder" in capsys.readouterr().err


@pytest.mark.tensorflow
def test_train_evaluate_export_and_predict(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(training_run, "open_data", small_data)
    run = tmp_path / "run"
    overrides = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16", "--mean", "0.3", "--std", "0.3"]
    assert main(["train", "--output", str(run), *overrides]) == 0
    assert keras_cct.load_recipe(run / "recipe.yml").mean == (0.3,)
    assert main(["export", str(run / "best.keras"), str(tmp_path / "served")]) == 0
    capsys.readouterr()
    answers = []
    for artifact in (run / "best.keras", run / "saved_model", tmp_path / "served"):
        assert main(["evaluate", str(artifact)]) == 0
        assert main(["predict", str(artifact), "examples/images/sneaker.png", "--top", "3"]) == 0
        answers.append(capsys.readouterr().out)
    assert re.match(r"1000 images: top-1 \d+\.\d\d %, top-5 \d+\.\d\d %\nexamples/images/sneaker.png\n", answers[0])
    assert len(answers[0].splitlines()) == 5
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "cct_7_3x3_32"], "unknown variant 'cct_7_3x3_32'. Did you mean"),
        (["train", "--epochs", "few"], "recipe key epochs='few' is not a whole number"),
        (["train", "--seed", "5000000000"], "recipe key seed=5000000000 is out of range. It must be below 2147483648"),
        (["train", "--output", ""], "the output folder '.' is not empty"),
        (["train", "--output", "{model}"], "is a file"),
        (["train", "--reprob", "2", "--output", "{folder}/run"], "reprob=2.0 is out of range. It must be from 0 to 1"),
        (["train", "--aa", "autoaugment", "--output", "{folder}/run"], "autoaugment"),
        (["train", "-c", "nowhere.yml"], "no config 'nowhere.yml'"),
        (["train", "--output", "{folder}"], "is not empty"),
        (["models", "resnet*"], "no variant matches 'resnet*'"),
        (["evaluate", "none.keras"], "no model at 'none.keras'"),
        (["predict", "{model}", "none.png"], "cannot read 'none.png'"),
        (["predict", "{model}", "{folder}/notes.txt"], "is not a PNG, JPEG or GIF image"),
        (["predict", "{model}", "a.png", "--top", "0"], "--top=0 is not allowed. Give a whole number of at least 1."),
        (["convert", "{model}", "{model}"], "exists already"),
        (["convert", "{model}", "new.safetensors", "--mean", "0.5"], "--mean and --std belong together"),
        (["convert", "{model}", "new.safetensors", "--img-size", "8", "8"], "img_size=[8, 8] means nothing to"),
        (["convert", "none.safetensors", "new.keras"], "does not exist. Give the path of a file"),
        (["convert", "resnet", "new.keras", "--model", "cvt_2_4_32"], "cvt_2_4_32 has no published weights 'resnet'"),
        (["convert", "x.pth", "new.keras", "--model", "cvt_2_4_32", "--class-names", "x"], "no class names for"),
        (["export", "{folder}/notes.txt", "{folder}/served"], "is not a .keras file"),
        (["export", "{model}", "{folder}"], "exists already"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    keras_cct.create_model("cct_2_3x2_32").save(tmp_path / "model.keras")
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
    "arguments", [["train", "--patch-size", "3"], ["predict", "a", "b", "--top", "x"], ["frob"], []]
)
def test_unknown_words_are_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert re.fullmatch(r"keras_cct.*: .*\. See keras_cct COMMAND --help\n", capsys.readouterr().err)


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "keras_cct.cli", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_a_broken_jpeg_is_one_line_of_the_whole_process(tmp_path):
    keras_cct.create_model("cct_2_3x2_32").save(tmp_path / "model.keras")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    done = run_cli("predict", str(tmp_path / "model.keras"), str(tmp_path / "broken.jpg"))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"keras_cct predict: '.*broken.jpg' is a broken image. Give another file.\n", done.stderr)


def test_a_backend_that_is_not_there_is_one_line():
    done = run_cli("evaluate", "model.keras", KERAS_BACKEND="theano")
    assert done.returncode == 2
    assert done.stderr.startswith("keras_cct evaluate: KERAS_BACKEND='theano' cannot be loaded: ")
    assert done.stderr.count("\n") == 1


def test_every_recipe_key_has_a_flag_with_help(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(keras_cct.Recipe):
        flag = "DATA" if field.name == "data_dir" else f"--{field.name.replace('_', '-')}"
        assert re.search(rf" {flag}(, --\S+)*( VALUE)*( \[VALUE ...\])? [A-Za-z]", text), flag
