import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from fixtures.small_run import sample_choice

import keras_cct
from keras_cct.cli import main, train
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.loading import UNSUPPORTED_KEYS


@pytest.fixture(autouse=True)
def _without_images(monkeypatch):
    monkeypatch.setattr(train, "choose", sample_choice)


def printed_recipe(capsys, *arguments: str) -> dict:
    assert main(["train", "--print-recipe", *arguments]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture
def train_help(capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_every_recipe_key_has_a_flag_with_its_help_and_default(train_help):
    for key, rule in key_rules(keras_cct.Recipe).items():
        if key == "data_dir":
            continue
        flag = f"--{key.replace('_', '-')}"
        explained = re.search(rf" {flag}\b[^()]* {re.escape(rule.help)} \(([^)]*)\)", train_help)
        assert explained, flag
        assert "default: " in explained[1] or explained[1] == "required", flag
        assert rule.bounds in explained[1], flag


@pytest.mark.parametrize(
    "text",
    [
        "--sched {cosine,step}",
        "--amp-dtype {float16,bfloat16}",
        "--lr FLOAT",
        "--epochs INT",
        "--opt TEXT",
        "--scale FLOAT FLOAT",
        "--aa-args NAME=VALUE",
        "default: 0.485 0.456 0.406",
    ],
)
def test_help_shows_types_and_choices(text, train_help):
    assert text in train_help


def test_every_flag_sets_its_key(capsys):
    values = {"sched": "step", "lr": 0.5, "epochs": 7, "scale": [0.5, 0.75], "opt_betas": [0.5, 0.75], "amp": True}
    words = ["--sched", "step", "--lr", "0.5", "--epochs", "7", "--scale", "0.5", "0.75", "--opt-betas", "0.5", "0.75"]
    recipe = printed_recipe(capsys, *words, "--native-amp")
    assert {key: recipe[key] for key in values} == values


def test_boolean_flags_can_be_negated(capsys):
    assert printed_recipe(capsys, "-c", "cifar10", "--model", "cct_7_3x1_32", "--no-amp")["amp"] is False
    assert printed_recipe(capsys, "--no-aug")["no_aug"] is True


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["--mean", "0.3", "./DATA"], "mean", [0.3]),
        (["--std", "0.3", "0.4", "0.5", "./DATA"], "std", [0.3, 0.4, 0.5]),
        (["--aa-args", "a=1", "b=[2]", "./DATA"], "aa_args", {"a": 1, "b": [2]}),
        (["./DATA", "--mean", "0.3"], "mean", [0.3]),
        (["--mean", "0.3", "./DATA", "--lr", "0.1"], "mean", [0.3]),
    ],
)
def test_data_may_follow_a_list(arguments, key, value, capsys):
    recipe = printed_recipe(capsys, *arguments)
    assert recipe[key] == value
    assert recipe["data_dir"] == str(Path("DATA").absolute())


@pytest.mark.parametrize(
    ("arguments", "dataset", "data_dir"),
    [
        (["cifar10"], "cifar10", ""),
        (["tfds/pets"], "tfds/pets", ""),
        (["-c", "cifar10", "--model", "cct_7_3x1_32", "cifar100"], "cifar100", ""),
        (["-c", "cifar10", "--model", "cct_7_3x1_32", "photos"], "cifar10", "photos"),
        (["photos"], "photos", "photos"),
        (["-d", "cifar10", "elsewhere"], "cifar10", "elsewhere"),
        (["photos/none"], "none", "photos/none"),
    ],
)
def test_data_is_a_path_or_the_name_of_a_dataset(arguments, dataset, data_dir, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    recipe = printed_recipe(capsys, *arguments)
    assert recipe["dataset"] == dataset
    assert recipe["data_dir"] == (str(tmp_path / data_dir) if data_dir else "")


def test_the_current_folder_is_named_like_any_other(capsys, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    recipe = printed_recipe(capsys, ".")
    assert (recipe["dataset"], recipe["data_dir"]) == ("photos", str(tmp_path / "photos"))


@pytest.mark.parametrize(
    "arguments", [["--mean", "a"], ["--mean", "0.3", "a", "b"], ["a", "--mean", "0.3", "b"], ["--aa-args", "a"]]
)
def test_other_words_in_a_list_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(["train", *arguments])
    assert error.value.code == 2
    assert re.search(r"(--mean|--aa-args) expects (FLOAT|NAME=VALUE) values, got", capsys.readouterr().err)


@pytest.mark.parametrize("key", UNSUPPORTED_KEYS)
def test_unsupported_flags_of_the_reference_are_refused_with_a_reason(key, capsys):
    flag = f"--{key.replace('_', '-')}"
    with pytest.raises(SystemExit) as error:
        main(["train", flag, "1"])
    assert error.value.code == 2
    assert f"{flag} is not supported: {UNSUPPORTED_KEYS[key]}. " in capsys.readouterr().err


def test_no_flag_is_both_supported_and_unsupported():
    assert not {field.name for field in dataclasses.fields(keras_cct.Recipe)} & set(UNSUPPORTED_KEYS)
