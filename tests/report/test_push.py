"""Pushing runs with the real client to a local server that speaks the API of the hub."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures.hub_server import TOKEN, running_hub, use_hub
from fixtures.run_folders import CLASS_NAMES, make_run, tiny_images
from fixtures.weight_files import assert_identical_outputs

import keras_cct
from keras_cct.cli import main, push
from keras_cct.data.fingerprint import DataFingerprint
from keras_cct.report import run_metrics
from keras_cct.report.model_card import escape_markdown

constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is an extra")

# `huggingface_hub` 2.4 uploads large files with an argument that its HTTP library wants renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

URL = "hf://ada/pets"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(
        tmp_path_factory.mktemp("runs") / "first",
        data_dir="/home/ada/photos",
        initial_checkpoint="/home/ada/old/best.keras",
        cooldown_epochs=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_metrics, "open_data", tiny_images)
        keras_cct.write_report(folder)
    DataFingerprint.of(*tiny_images()).write(folder / "data.npz")
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch):
    with running_hub() as running:
        use_hub(running, tmp_path, monkeypatch)
        yield running


@pytest.fixture
def pushed(server, run, capsys):
    assert main(["push", str(run), URL, "--license", "mit"]) == 0
    return server.repositories["ada/pets"]


def error_of(capsys, *arguments) -> str:
    assert main(["push", *map(str, arguments)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def metadata_of(repository) -> dict:
    return yaml.safe_load(repository.files["README.md"].decode().split("---\n")[1])


def test_all_files_are_in_one_commit(pushed, server):
    assert set(pushed.files) == {".gitattributes", "model.keras", "recipe.yml", "metrics.json", "README.md"}
    assert len(pushed.commits) == 2
    assert "cvt_2_4_32" in pushed.messages[1]
    assert not pushed.private


def test_the_pushed_model_is_the_best_model(pushed, run):
    best = keras_cct.create_model(weights=run / "best.keras")
    assert_identical_outputs(keras_cct.create_model(weights=URL), best)


def test_the_last_line_names_the_commit(server, run, capsys):
    assert main(["push", str(run), URL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(f"/ada/pets/commit/{server.repositories['ada/pets'].references['main']}")
    assert "no license" in lines[-2]


def test_pushing_again_adds_a_commit(pushed, run):
    assert main(["push", str(run), URL, "--license", "apache-2.0"]) == 0
    assert len(pushed.commits) == 3
    assert metadata_of(pushed)["license"] == "apache-2.0"


def test_local_folders_are_not_published(pushed):
    recipe = yaml.safe_load(pushed.files["recipe.yml"])
    assert (recipe["data_dir"], recipe["initial_checkpoint"]) == ("photos", "best.keras")
    for content in pushed.files.values():
        assert b"/home/ada" not in content


def test_metadata_has_what_the_hub_reads(pushed, run):
    metadata = metadata_of(pushed)
    assert metadata["library_name"] == "keras_cct"
    assert metadata["pipeline_tag"] == "image-classification"
    assert metadata["license"] == "mit"
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"]["name"] == "pets"
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    stored = json.loads((run / "metrics.json").read_text())["numbers"]
    assert values["top-1 accuracy, %"] == pytest.approx(stored["top1"], abs=1e-4)
    assert "top-5 accuracy, %" not in values  # of three classes


def test_card_states_data_metrics_use_and_limits(pushed):
    card = pushed.files["README.md"].decode()
    for part in (
        "Training images: 30; evaluation images: 30.",
        "| input | 8x8 pixels, RGB, pixels in [0, 255] |",
        "| license | mit |",
        "keras_cct predict hf://ada/pets photo.jpg",
        'weights="hf://ada/pets"',
        "| macro F1, % |",
        "started from the weights best.keras",
        "calibration error",
        "epochs: 3",
    ):
        assert part in card, part
    assert f"| {escape_markdown(CLASS_NAMES[0])} |" in card
    assert "<b>" not in card.replace(r"\<b\>", "")


def test_card_validates_in_the_client(pushed):
    from huggingface_hub import ModelCard

    card = ModelCard(pushed.files["README.md"].decode())
    assert card.data.eval_results is not None
    assert card.data.eval_results[0].metric_type == "accuracy"


def test_the_python_block_of_the_card_runs(pushed, tmp_path, monkeypatch, capsys):
    card = pushed.files["README.md"].decode()
    (code,) = [block.split("```")[0] for block in card.split("```python\n")[1:]]
    photo = str(Path("examples/images/sneaker.png").resolve())
    exec(code.replace("photo.jpg", photo), {})
    assert any(name in capsys.readouterr().out for name in CLASS_NAMES)


def test_without_its_images_a_run_has_the_metrics_of_the_training(server, tmp_path, capsys):
    run = make_run(tmp_path / "run", top1=61.0, cooldown_epochs=0, sched="cosine")
    assert main(["push", str(run), URL]) == 0
    files = server.repositories["ada/pets"].files
    assert json.loads(files["metrics.json"])["best_epoch"]["eval_top1"] == 61.0
    card = files["README.md"].decode()
    assert "| top-1 accuracy, % | 61.00 |" in card
    assert "not stated" in card
    assert "license" not in metadata_of(server.repositories["ada/pets"])


def test_private_repositories(server, run, capsys):
    assert main(["push", str(run), URL, "--private"]) == 0
    assert server.repositories["ada/pets"].private
    assert main(["push", str(run), URL, "--private"]) == 0
    server.repositories["ada/pets"].private = False
    commits = len(server.repositories["ada/pets"].commits)
    capsys.readouterr()
    assert "public" in error_of(capsys, run, URL, "--private")
    assert len(server.repositories["ada/pets"].commits) == commits


def test_an_unfinished_run_is_not_pushed(server, tmp_path, capsys):
    run = make_run(tmp_path / "run", cooldown_epochs=5, sched="cosine")
    message = error_of(capsys, run, URL)
    assert "3 of 8 epochs" in message
    assert "--resume" in message
    assert server.requests == []


def test_a_run_that_stopped_early_is_finished(server, tmp_path, capsys):
    run = make_run(tmp_path / "run", cooldown_epochs=5, sched="cosine", early_stopping=1)
    lines = list(csv.reader((run / "summary.csv").read_text().splitlines()))
    lines[3][lines[0].index("eval_top1")] = "0"
    with (run / "summary.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    assert main(["push", str(run), URL]) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([".", URL], "recipe.yml"),
        (["{run}", "ada/pets"], "'ada/pets' does not name a model on the hub"),
        (["{run}", "hf://ada"], "does not name a model on the hub"),
        (["{run}", "hf://ada/-pets-"], "-pets-"),
        (["{run}", f"{URL}@v1"], "Leave @v1 out"),
        (["{run}", URL, "--license", "MIT License"], "'MIT License'"),
    ],
)
def test_arguments_are_checked_before_any_request(arguments, expected, server, run, capsys):
    assert expected in error_of(capsys, *[argument.format(run=run) for argument in arguments])
    assert server.requests == []


def test_a_bad_name_is_refused_before_tensorflow_is_imported(monkeypatch, capsys):
    monkeypatch.setattr(push, "load_frameworks", lambda: pytest.fail("imports TensorFlow"))
    assert main(["push", "runs/none", "ada/pets"]) == 2
    assert "'ada/pets' does not name a model on the hub" in capsys.readouterr().err


def test_a_token_is_required(server, run, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN" in error_of(capsys, run, URL)
    assert server.requests == []


def test_nothing_is_pushed_offline(server, run, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in error_of(capsys, run, URL)
    assert server.requests == []


def test_a_missing_package_is_named(server, run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'keras_cct[hub]'" in error_of(capsys, run, URL)


def test_a_refused_token_is_one_line(server, run, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "401" in error_of(capsys, run, URL)


def test_the_namespace_of_another_user_is_one_line(server, run, capsys):
    message = error_of(capsys, run, "hf://someone/pets")
    assert "403" in message
    assert "rights" in message


def test_an_unknown_license_is_one_line_and_uploads_nothing(server, run, capsys):
    assert "license" in error_of(capsys, run, URL, "--license", "beer")
    assert set(server.repositories["ada/pets"].files) == {".gitattributes"}
    assert server.objects == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/create", 400),
        ("/preupload/", 404),
        ("/preupload/", 403),
        ("/objects/batch", 413),
        ("/lfs/", 403),
        ("/commit/", 409),
    ],
)
def test_failures_on_the_way_are_one_line_and_leave_no_commit(path, status, server, run, capsys):
    server.failures[path] = status
    message = error_of(capsys, run, URL)
    assert URL in message
    assert "hf_" not in message
    if "ada/pets" in server.repositories:
        assert len(server.repositories["ada/pets"].commits) == 1


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_commands_find_the_server_through_hf_endpoint(server, run, tmp_path):
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
    }
    for arguments in (["push", str(run), URL], ["predict", URL, "examples/images/sneaker.png", "--top", "1"]):
        done = subprocess.run(
            [sys.executable, "-m", "keras_cct", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert "sneaker.png" in done.stdout
