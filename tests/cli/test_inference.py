import json
import subprocess
import sys

import numpy as np
import pytest
from fixtures.images import encoded, photo

import keras_cct
from keras_cct.cli import main

pytest.importorskip("openvino", reason="the runtimes are extras")


@pytest.fixture(scope="module")
def openvino_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "openvino"
    keras_cct.export_model(keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist"), folder, "openvino")
    return folder


def test_predict_with_openvino_loads_neither_keras_nor_tensorflow(openvino_model):
    program = (
        "import sys; from keras_cct.cli import main; code = main(sys.argv[1:]); "
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "predict", str(openvino_model), "examples/images/sneaker.png", "--top=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["examples/images/sneaker.png", "91.15", "%", "sneaker"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name, phase in (("a.png", 0), ("b.jpg", 1), ("more/c.png", 2)):
        (folder / name).write_bytes(encoded(photo(phase=phase), "JPEG" if name.endswith("jpg") else "PNG"))
    return folder


def predict(openvino_model, *arguments: str) -> int:
    return main(["predict", str(openvino_model), *arguments])


def test_folders_and_patterns_are_predicted_in_order(openvino_model, images, capsys):
    assert predict(openvino_model, str(images), f"{images}/*.png", f"{images}/**/*.png", "--format", "jsonl") == 0
    paths = [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()]
    names = ["a.png", "b.jpg", "more/c.png", "a.png", "a.png", "more/c.png"]
    assert paths == [str(images / name) for name in names]


def test_every_format_holds_the_same_predictions(openvino_model, images, tmp_path, capsys):
    outputs = {}
    for output_format in ("json", "jsonl", "csv", "text"):
        arguments = ["--top", "2", "--batch-size", "2", "--format", output_format]
        assert predict(openvino_model, str(images), *arguments, "--output", str(tmp_path / output_format)) == 0
        outputs[output_format] = (tmp_path / output_format).read_text()
    assert capsys.readouterr().out == ""
    predictions = json.loads(outputs["json"])
    assert [json.loads(line) for line in outputs["jsonl"].splitlines()] == predictions
    rows = [line.split(",") for line in outputs["csv"].splitlines()]
    assert rows[0] == ["path", "rank", "class", "probability"]
    expected = [
        [prediction["path"], str(rank), item["class"], item["probability"]]
        for prediction in predictions
        for rank, item in enumerate(prediction["classes"], start=1)
    ]
    assert [[*row[:3], float(row[3])] for row in rows[1:]] == expected
    assert len(outputs["text"].splitlines()) == 9


def test_probabilities_are_those_of_all_classes(openvino_model, images, capsys):
    assert predict(openvino_model, str(images / "a.png"), "--probabilities", "--format", "json") == 0
    (prediction,) = json.loads(capsys.readouterr().out)
    values = [item["probability"] for item in prediction["classes"]]
    assert len(values) == 10
    assert values == sorted(values, reverse=True)
    assert np.sum(values) == pytest.approx(1, abs=1e-4)


def test_unreadable_files_are_reported_skipped_and_in_the_exit_code(openvino_model, images, capsys):
    (images / "b.jpg").write_bytes(b"no image")
    assert predict(openvino_model, str(images), "none.png", "--format", "jsonl") == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    first, second = captured.err.splitlines()
    assert "b.jpg" in first
    assert "none.png" in second


def test_progress_shows_the_total_of_files_and_folders(openvino_model, images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("keras_cct.cli.inference._SECONDS_PER_PROGRESS", -1)
    output = str(tmp_path / "predictions.txt")
    assert predict(openvino_model, str(images), str(images / "a.png"), "--output", output) == 0
    last = capsys.readouterr().err.rstrip().split("\r")[-1]
    assert last.startswith("4/4 images, ")
    assert last.endswith(", 0 s left")


@pytest.mark.parametrize("is_list", [True, False])
def test_standard_input_is_an_image_or_a_list_of_paths(is_list, openvino_model, images):
    content = f"{images}/a.png\n{images}/b.jpg\n".encode() if is_list else (images / "a.png").read_bytes()
    command = [sys.executable, "-m", "keras_cct", "predict", str(openvino_model), "-", "--format", "jsonl"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert paths == ([f"{images}/a.png", f"{images}/b.jpg"] if is_list else [""])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{images}/*.gif"], "no file matches"),
        (["{empty}"], "no images found in"),
        (["{images}", "--output", "{images}/a.png"], "exists already"),
        (["{images}", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["{images}", "--runtime", "onnx"], "artifact of openvino, not of onnx"),
    ],
)
def test_bad_predictions_are_one_line(arguments, message, openvino_model, images, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    paths = {"images": images, "empty": tmp_path / "empty"}
    assert predict(openvino_model, *(argument.format(**paths) for argument in arguments)) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
