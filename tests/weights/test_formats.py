import json
import os
import struct
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy
from fixtures.weight_files import filled_model

import keras_cct
from keras_cct.weights.formats import read_safetensors_file

BIAS = "classifier.fc.bias"


def save(weights: dict, folder):
    safetensors.numpy.save_file(weights, folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras itself requires PyTorch")
def test_safetensors_files_load_without_pytorch(tmp_path, monkeypatch):
    weights = keras_cct.export_torch_weights(filled_model("cvt_2_4_32"))
    monkeypatch.setitem(sys.modules, "torch", None)
    model = keras_cct.create_model("cvt_2_4_32", weights=save(weights, tmp_path))
    loaded = keras_cct.export_torch_weights(model)
    assert all(np.array_equal(loaded[key], array) for key, array in weights.items())


def test_keys_of_data_parallel_training_load(tmp_path):
    weights = keras_cct.export_torch_weights(filled_model("cvt_2_4_32"))
    file = save({f"module.{key}": array for key, array in weights.items()}, tmp_path)
    loaded = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32", weights=file))
    np.testing.assert_array_equal(loaded[BIAS], weights[BIAS])


def test_half_precision_becomes_float32_exactly(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    from safetensors.torch import save_file

    values = torch.randn(3, 5)
    save_file(
        {"half": values.half(), "brain": values.bfloat16(), "double": values.double()}, tmp_path / "x.safetensors"
    )
    read = read_safetensors_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(read["half"].astype("float32"), values.half().float().numpy())
    np.testing.assert_array_equal(read["brain"], values.bfloat16().float().numpy())
    np.testing.assert_array_equal(read["double"], values.double().numpy())


def test_wrong_dtype_and_shape_are_one_line_errors(tmp_path):
    weights = keras_cct.export_torch_weights(filled_model("cvt_2_4_32"))
    for wrong, message in (
        (np.zeros(10, "int8"), "classifier.fc.bias has dtype I8"),
        (np.zeros((10, 2), "float32"), "classifier.fc.bias has shape (10, 2), expected (10,)"),
    ):
        with pytest.raises(keras_cct.InputError) as error:
            keras_cct.create_model("cvt_2_4_32", weights=save(weights | {BIAS: wrong}, tmp_path))
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(keras_cct.InputError, match="none.safetensors' does not exist"):
        keras_cct.load_torch_weights(filled_model("cvt_2_4_32"), tmp_path / "none.safetensors")


def safetensors_bytes(header: dict | bytes, data: bytes = b"") -> bytes:
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 2**40) + b"{}",
        safetensors_bytes({"a": ENTRY | {"shape": [2**40]}}, bytes(4)),
        safetensors_bytes({"a": ENTRY | {"shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(4)),
        safetensors_bytes({"a": ENTRY, "b": ENTRY}, bytes(4)),
        safetensors_bytes({"a": ENTRY}, bytes(5)),
        safetensors_bytes(b'{"a":' * 10_000),
        safetensors_bytes(b"\xff\xfe"),
        b"",
    ],
)
def test_header_that_lies_is_one_error_that_names_the_file(content, tmp_path):
    (tmp_path / "evil.safetensors").write_bytes(content)
    with pytest.raises(keras_cct.InputError, match="evil.safetensors' is not a .safetensors file"):
        read_safetensors_file(tmp_path / "evil.safetensors")


def test_header_of_too_many_tensors_is_refused(tmp_path):
    header = {f"{index:0100}": ENTRY | {"shape": [0], "data_offsets": [0, 0]} for index in range(20_000)}
    (tmp_path / "evil.safetensors").write_bytes(safetensors_bytes(header))
    with pytest.raises(keras_cct.InputError, match="its header has 3,.* bytes, more than 2,097,152"):
        read_safetensors_file(tmp_path / "evil.safetensors")


@pytest.mark.parametrize("ending", [".safetensors", ".weights.h5"])
def test_file_name_that_is_not_utf_8_works(ending, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + ending.encode())
    model = filled_model("cvt_2_4_32")
    keras_cct.save_weights_file(model, path)
    loaded = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32", weights=path))
    np.testing.assert_array_equal(loaded[BIAS], keras_cct.export_torch_weights(model)[BIAS])
