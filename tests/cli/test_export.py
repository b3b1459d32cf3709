import pytest

import keras_cct
from keras_cct.cli import main
from keras_cct.export import saved_model

for package in ("tf2onnx", "onnxruntime", "openvino", "ai_edge_litert"):
    pytest.importorskip(package, reason="the runtimes are extras")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.keras"
    keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist").save(file)
    return file


def test_export_prints_one_line_per_format(model_file, tmp_path, capfd):
    output = tmp_path / "exported"
    assert main(["export", str(model_file), str(output), "--format", "onnx", "litert", "--dtype", "float16"]) == 0
    captured = capfd.readouterr()
    lines = captured.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"wrote {output / 'model.onnx'}",
        f"wrote {output / 'model.tflite'}",
    ]
    assert all("top-1 agreement 100.0 %" in line for line in lines)
    assert captured.err == ""
    assert main(["export", str(model_file), str(output)]) == 2
    assert "exists already" in capfd.readouterr().err
    assert main(["export", str(model_file), str(output), "--overwrite"]) == 0
    assert main(["evaluate", str(output)]) == 0
    assert capfd.readouterr().out.splitlines()[1] == "1000 images: top-1 94.70 %, top-5 100.00 %"


@pytest.mark.slow
def test_export_in_int8_reports_the_accuracy(model_file, tmp_path, capfd):
    arguments = [
        str(tmp_path / "model.onnx"),
        "--format",
        "onnx",
        "--dtype",
        "int8",
        "--data",
        "sample",
        "--batch",
        "1",
    ]
    assert main(["export", str(model_file), *arguments]) == 0
    assert "(Keras 94.70 %)" in capfd.readouterr().out


def test_an_artifact_that_differs_is_one_line_and_removed(tmp_path, capfd, monkeypatch):
    model_file = tmp_path / "model.keras"
    keras_cct.create_model("cvt_2_4_32", input_shape=(8, 8, 3), num_layers=1, dim=8, num_heads=2).save(model_file)
    monkeypatch.setattr(saved_model, "TOLERANCE", -1.0)
    assert main(["export", str(model_file), str(tmp_path / "exported")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("keras_cct export: signature serving_default of the SavedModel differs from Keras by ")
    assert list(tmp_path.iterdir()) == [model_file]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}", "{out}", "--format", "onnx"], "does not end in .onnx"),
        (["{model}", "{out}", "--dtype", "int8"], "dtype='int8' is not supported by savedmodel"),
        (["{model}", "{out}", "--batch", "0"], "batch_size must be at least 1, got 0"),
        (["{model}", "{out}", "--data", "nowhere"], "unknown dataset 'nowhere'"),
        (["{out}.keras", "{out}"], "does not exist"),
        (["{model}", "/proc/out"], "cannot write '/proc/out"),
        (["{model}", "{model}", "--overwrite"], "model.keras' is a file, but savedmodel is written to a folder"),
    ],
)
def test_bad_exports_are_one_line(arguments, message, model_file, tmp_path, capfd):
    paths = {"model": model_file, "out": tmp_path / "out"}
    assert main(["export", *(argument.format(**paths) for argument in arguments)]) == 2
    captured = capfd.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
