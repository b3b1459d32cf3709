import re

import pytest
from fixtures.small_run import small_data

import keras_cct
from keras_cct import training
from keras_cct.cli import main


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


def test_train_evaluate_export_and_predict(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "load_data", small_data)
    run = tmp_path / "run"
    overrides = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "16", "--mean", "0.3", "--std", "0.3"]
    assert main(["train", "--output", str(run), *overrides]) == 0
    assert keras_cct.load_recipe(run / "recipe.yml").mean == (0.3,)
    assert main(["export", str(run / "best.keras"), str(tmp_path / "served")]) == 0
    capsys.readouterr()
    answers = []
    for artefact in (run / "best.keras", run / "saved_model", tmp_path / "served"):
        assert main(["evaluate", str(artefact)]) == 0
        assert main(["predict", str(artefact), "examples/images/sneaker.png", "--top", "3"]) == 0
        answers.append(capsys.readouterr().out)
    assert re.match(r"1000 images: top-1 \d+\.\d\d %, top-5 \d+\.\d\d %\nexamples/images/sneaker.png\n", answers[0])
    assert len(answers[0].splitlines()) == 5
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "cct_7_3x3_32"], "unknown variant 'cct_7_3x3_32'. Did you mean"),
        (["train", "--epochs", "few"], "recipe key epochs='few' is not a whole number"),
        (["train", "-c", "nowhere.yml"], "no config 'nowhere.yml'"),
        (["train", "--output", "{folder}"], "is not empty"),
        (["models", "resnet*"], "no variant matches 'resnet*'"),
        (["evaluate", "none.keras"], "no model at 'none.keras'"),
        (["predict", "{model}", "none.png"], "cannot read 'none.png'"),
        (["predict", "{model}", "{folder}/notes.txt"], "is not a whole PNG, JPEG, BMP or GIF image"),
        (["predict", "{model}", "a.png", "--top", "0"], "--top 0 names no class"),
        (["export", "{folder}/notes.txt", "{folder}/served"], "is not a .keras file"),
        (["export", "{model}", "{folder}"], "exists already"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path):
    keras_cct.create_model("cct_2_3x2_32").save(tmp_path / "model.keras")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("not a model")
    names = {"model": tmp_path / "model.keras", "folder": tmp_path / "folder"}
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(**names) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_unknown_flags_end_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as error:
        main(["train", "--patch-size", "3"])
    assert error.value.code == 2
    assert "unrecognized arguments: --patch-size 3" in capsys.readouterr().err
