import csv
import io
import json

import pytest

import keras_cct
from keras_cct.cli import main


def test_summary_prints_the_numbers_of_every_layer(capsys):
    assert main(["summary", "cct_7_3x1_32", "--input-size", "32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cct_7_3x1_32, images of 32x32x3"
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert rows["block_6"] == ["block_6", "256x256", "526,336", "134.218", "167.772", "3,670.0"]
    assert rows["total"][2:5] == ["3,760,139", "946.670", "1,181.617"]


@pytest.mark.parametrize("output_format", ["json", "csv"])
def test_summary_of_a_file_in_other_formats(output_format, capsys, tmp_path):
    model = keras_cct.create_model("cvt_2", input_shape=(8, 12, 1), num_layers=1)
    model.save(tmp_path / "model.keras")
    assert main(["summary", str(tmp_path / "model.keras"), "--format", output_format]) == 0
    output = capsys.readouterr().out
    total = keras_cct.summarize(model).total
    if output_format == "json":
        content = json.loads(output)
        assert content["input_shape"] == [8, 12, 1]
        row = content["total"]
        assert len(content["layers"]) == len(model.layers) - 1
    else:
        *layers, row = csv.DictReader(io.StringIO(output))
        assert layers[0]["output_shape"] == "8x12x1"
    for column in ("parameters", "macs", "macs_with_attention", "activation_bytes"):
        assert int(row[column]) == getattr(total, column)


def test_the_table_has_a_row_per_variant_with_the_published_accuracy(capsys):
    assert main(["models", "cct_7_3x1_32*", "--table", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["variant"] for row in rows] == keras_cct.list_models("cct_7_3x1_32*")
    assert rows[0] | {"activation_bytes": "", "macs": ""} == {
        "variant": "cct_7_3x1_32",
        "height": "32",
        "width": "32",
        "classes": "10",
        "dataset": "cifar10",
        "parameters": "3760139",
        "macs": "",
        "macs_with_attention": "1181616640",
        "activation_bytes": "",
        "top1": "cifar10=96.53",
    }
    by_name = {row["variant"]: row for row in rows}
    assert by_name["cct_7_3x1_32_sine"]["top1"] == "cifar10=98.00, cifar10-1500=97.48"
    assert int(by_name["cct_7_3x1_32_sine_c100"]["parameters"]) == 3_783_269


def test_the_table_is_readable_as_text_and_json(capsys):
    assert main(["models", "c?t_2_*_32", "--table"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["variant", "pixels"]
    assert [line.split()[:5] for line in lines] == [
        ["cct_2_3x2_32", "32x32", "0.284", "0.033", "0.035"],
        ["cvt_2_4_32", "32x32", "0.215", "0.013", "0.015"],
    ]
    assert main(["models", "cct_2_3x2_32", "--table", "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["top1"] == {"fashion_mnist": 93.17}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["summary", "cct_7_3x3_32"], "unknown variant 'cct_7_3x3_32'. Did you mean"),
        (["summary", "none.keras"], "no model at 'none.keras'"),
        (["summary", "{file}"], "served.tflite' is an exported artifact"),
        (["summary", "{file}", "--input-size", "32"], "--input-size needs a variant"),
        (["summary", "cct_2", "--input-size", "0"], "--input-size takes one or two positive numbers"),
        (["summary", "cct_2", "--input-size", "8", "8", "8"], "got [8, 8, 8]"),
        (["summary", "cvt_2_4_32", "--input-size", "30"], "patch_size=4 does not divide an image of 30x30"),
        (["models", "--format", "csv"], "--format csv has an effect with --table only"),
        (["models", "--table", "--pretrained"], "--table conflicts with --pretrained"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path):
    (tmp_path / "served.tflite").touch()
    assert main([argument.format(file=tmp_path / "served.tflite") for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
