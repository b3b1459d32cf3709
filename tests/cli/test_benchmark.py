import argparse
import json

import pytest
from fixtures.run_folders import make_run

import keras_cct
from keras_cct.cli import main
from keras_cct.cli.benchmark import _list_artifacts


@pytest.mark.slow
def test_a_variant_and_an_artifact_are_measured_as_a_table_and_json(tmp_path, capfd):
    pytest.importorskip("openvino", reason="the runtimes are extras")
    model = keras_cct.create_model("cct_2_3x2_32", input_shape=(8, 8, 3), num_classes=2)
    keras_cct.export_model(model, tmp_path / "openvino", "openvino")
    model.save(tmp_path / "model.keras")
    models = [str(tmp_path / "openvino"), str(tmp_path / "model.keras"), "vit_2_4_32"]
    settings = ["--runtime", "openvino", "--batch-size", "1", "4", "--seconds", "0"]
    capfd.readouterr()
    assert main(["benchmark", *models, *settings, "--json", str(tmp_path / "results.json")]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    header, units, *rows = captured.out.splitlines()
    assert header.split() == ["model", "runtime", "latency", "p95", "batch", "1", "batch", "4", "memory"]
    assert units.split() == ["ms", "ms", "images/s", "MB"]
    assert [row.split()[:2] for row in rows] == [[name, "openvino"] for name in models]
    results = json.loads((tmp_path / "results.json").read_text())
    assert [result["model"] for result in results] == models
    for result in results:
        assert set(result["throughput"]) == {"1", "4"}
        assert 0 < result["latency_ms"] <= result["latency_p95_ms"]
        assert 10 < result["memory_mb"] < 2000


@pytest.mark.parametrize(("runtime", "file"), [(None, "saved_model"), (["keras"], "best.keras")])
def test_a_chosen_runtime_is_that_of_the_best_model_of_a_run(runtime, file, tmp_path):
    run = make_run(tmp_path / "run")
    (run / "saved_model").mkdir()
    (run / "saved_model" / "saved_model.pb").touch()
    options = argparse.Namespace(models=[str(run)], runtime=runtime, trust=False)
    assert [path for _, _, path in _list_artifacts(options, tmp_path)] == [run / file]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cct_2_3x9_32"], "no model at 'cct_2_3x9_32'"),
        (["cct_2_3x2_32", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["cct_2_3x2_32", "--seconds", "-1"], "--seconds must be in [0, 3600], got -1.0"),
        (["cct_2_3x2_32", "--json", "{folder}"], "exists already"),
        (["cct_2_3x2_32", "--json", "{folder}/none/results.json"], "is in a folder that does not exist"),
        (["{folder}/model.onnx", "--runtime", "litert"], "artifact of onnx"),
    ],
)
def test_bad_benchmarks_are_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "model.onnx").touch()
    assert main(["benchmark", *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
