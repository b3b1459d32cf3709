"""Settings of an export, checked before the model is looked at."""

import contextlib

import pytest

import keras_cct
from keras_cct.export.settings import ExportSettings

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("names", "is_replaced"),
    [
        (["model.xml", "model.bin"], True),
        (["model.xml", "model.bin", "labels.txt"], False),
        (["saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"], True),
        (["saved_model.pb", "notes.txt"], False),
        (["saved_model", "openvino", "model.onnx", "model.tflite"], True),
        (["openvino/model.xml", "openvino/labels.txt"], False),
        (["1/saved_model.pb", "1/variables"], True),
        (["1/notes.txt"], False),
        (["assets"], False),
        (["notes.txt"], False),
        ([], True),
    ],
)
def test_a_folder_with_other_files_is_not_overwritten(names, is_replaced, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    settings = ExportSettings(("openvino",), overwrite=True)
    with contextlib.nullcontext() if is_replaced else pytest.raises(keras_cct.InputError, match="is not overwritten"):
        settings.check_output(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "coreml"}, "format must be one of savedmodel, onnx, openvino, litert, got 'coreml'"),
        ({"format": []}, "format must be one or more different formats"),
        ({"format": ["onnx", "onnx"]}, "format must be one or more different formats"),
        ({"format": "onnx", "dtype": "bfloat16"}, "dtype must be one of float32, float16, int8, got 'bfloat16'"),
        ({"format": "savedmodel", "dtype": "float16"}, "dtype='float16' is not supported by savedmodel"),
        ({"format": "onnx", "batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"format": "onnx", "max_drop": -1}, "max_drop must be a number of at least 0, got -1"),
        ({"format": "onnx"}, "'model' does not end in .onnx"),
        ({"format": "litert"}, "'model' does not end in .tflite"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.export_model(None, "model", **settings)  # before the model is looked at
    assert message in str(error.value)
