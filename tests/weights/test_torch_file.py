import argparse
import os
import zipfile

import numpy as np
import pytest
from fixtures.golden import CASES, golden_model, state_dict_of

import keras_cct
from keras_cct.weights.formats import read_state_dict

torch = pytest.importorskip("torch", reason="PyTorch is an extra")


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def torch_state_dict() -> dict:
    return {key: torch.from_numpy(value) for key, value in state_dict_of(CASES["cct_2_3x2_32"]).items()}


def load(path) -> dict[str, np.ndarray]:
    model = keras_cct.create_model("cct_2_3x2_32")
    keras_cct.load_torch_weights(model, path)
    return keras_cct.export_torch_weights(model)


def assert_golden(weights):
    expected = keras_cct.export_torch_weights(golden_model("cct_2_3x2_32"))
    for key, array in expected.items():
        np.testing.assert_array_equal(weights[key], array)


def test_state_dict_file_loads(tmp_path):
    torch.save(torch_state_dict(), tmp_path / "model.pth")
    assert_golden(load(tmp_path / "model.pth"))
    model = keras_cct.create_model("cct_2_3x2_32", weights=tmp_path / "model.pth")
    assert_golden(keras_cct.export_torch_weights(model))


def test_checkpoint_of_data_parallel_training_loads(tmp_path):
    prefixed = {f"module.{key}": value for key, value in torch_state_dict().items()}
    torch.save({"epoch": 3, "arch": "cct", "state_dict": prefixed}, tmp_path / "last.pth.tar")
    assert_golden(load(tmp_path / "last.pth.tar"))


def test_checkpoint_with_script_arguments_loads(tmp_path):
    arguments = argparse.Namespace(model="cct_2_3x2_32", lr=5e-4, mean=(0.5, 0.5, 0.5))
    torch.save({"epoch": 3, "args": arguments, "state_dict": torch_state_dict()}, tmp_path / "last.pth.tar")
    assert_golden(load(tmp_path / "last.pth.tar"))


@pytest.mark.parametrize("key", ["state_dict", "model", "state_dict_ema"])
def test_nested_state_dict_loads(key, tmp_path):
    torch.save({"epoch": 3, key: torch_state_dict()}, tmp_path / "model.pth")
    assert_golden(load(tmp_path / "model.pth"))


def test_averaged_weights_are_used_only_without_others(tmp_path):
    averaged = {key: value + 1 for key, value in torch_state_dict().items()}
    torch.save({"state_dict_ema": averaged, "state_dict": torch_state_dict()}, tmp_path / "model.pth.tar")
    assert_golden(load(tmp_path / "model.pth.tar"))


def test_tensors_in_memory_load():
    model = keras_cct.create_model("cct_2_3x2_32")
    keras_cct.load_torch_weights(model, {key: value.requires_grad_() for key, value in torch_state_dict().items()})
    assert_golden(keras_cct.export_torch_weights(model))


def test_half_precision_tensors_load():
    model = keras_cct.create_model("cct_2_3x2_32")
    halves = {key: value.bfloat16() for key, value in torch_state_dict().items()}
    keras_cct.load_torch_weights(model, halves)
    exported = keras_cct.export_torch_weights(model)
    assert all(np.array_equal(exported[key], value.float().numpy()) for key, value in halves.items())


@pytest.mark.parametrize("hide", [lambda code: {"state_dict": code}, lambda code: {"args": argparse.Namespace(x=code)}])
def test_file_that_would_run_code_is_rejected(hide, tmp_path):
    created = tmp_path / "created"
    torch.save(hide(RunsCode(str(created))), tmp_path / "evil.pth")
    with pytest.raises(keras_cct.InputError, match="is not a weights-only PyTorch file"):
        load(tmp_path / "evil.pth")
    assert not created.exists()


@pytest.mark.parametrize("is_zip", [True, False])
def test_file_that_would_take_any_amount_of_memory_is_rejected(is_zip, tmp_path):
    torch.save(bytearray(3), tmp_path / "evil.pth", pickle_protocol=2, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(keras_cct.InputError, match="creates a bytearray"):
        load(tmp_path / "evil.pth")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 half a zip"])
def test_file_of_another_format_is_rejected(content, tmp_path):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(keras_cct.InputError, match="is not a weights-only PyTorch file") as error:
        load(tmp_path / "model.pth")
    assert "\n" not in str(error.value)


def error_message(file) -> str:
    try:
        read_state_dict(file)
    except keras_cct.InputError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("is_zip", [True, False])
def test_corrupted_file_is_read_or_rejected_in_one_line(is_zip, tmp_path):
    file, random = tmp_path / "model.pth", np.random.default_rng(0)
    torch.save({"state_dict": {"a": torch.ones(3, 4)}}, file, _use_new_zipfile_serialization=is_zip)
    content = np.frombuffer(file.read_bytes(), "uint8")
    messages = []
    for _ in range(300):
        broken = content.copy()
        broken[random.integers(0, min(len(content), 500), 3)] = random.integers(0, 256, 3)
        file.write_bytes(broken[: random.integers(len(content) // 2, len(content) + 1)].tobytes())
        messages.append(error_message(file))
    assert sum(map(bool, messages)) > 200
    assert not [message for message in messages if "\n" in message]


def test_file_without_a_state_dict_is_rejected(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "model.pth")
    with pytest.raises(keras_cct.InputError, match="contains no state dict"):
        load(tmp_path / "model.pth")


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(keras_cct.InputError, match="does not exist"):
        load(tmp_path / "none.pth")


def save_and_read(content, folder) -> dict[str, np.ndarray]:
    torch.save(content, folder / "model.pth")
    return read_state_dict(folder / "model.pth")


def test_tensors_that_are_larger_than_their_memory_are_refused(tmp_path):
    for tensor in (torch.zeros(1).expand(10**12), torch.zeros(1).as_strided((10**6, 10**6), (0, 0))):
        with pytest.raises(keras_cct.InputError, match="tensor 'a' has 4,000,000,000,000 bytes, .*does not contain"):
            save_and_read({"a": tensor}, tmp_path)
    with pytest.raises(keras_cct.InputError, match="does not contain"):
        save_and_read({"a": torch.zeros(10**12, device="meta")}, tmp_path)
    with pytest.raises(keras_cct.InputError):
        save_and_read({"a": torch.zeros(10**6, 10**6, layout=torch.sparse_coo)}, tmp_path)


def test_many_tensors_in_the_same_memory_are_refused(tmp_path):
    shared = torch.zeros(10**5)
    read = save_and_read({"a": shared, "b": shared}, tmp_path)
    assert read["b"].shape == (10**5,)
    with pytest.raises(keras_cct.InputError, match="but the file has"):
        save_and_read({str(index): shared for index in range(1000)}, tmp_path)


def test_compression_bomb_is_refused(tmp_path):
    torch.save({"a": torch.zeros(2**25)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(keras_cct.InputError, match="bomb.pth.* expands to 134"):
        read_state_dict(tmp_path / "bomb.pth")


def test_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(keras_cct.InputError, match="is not a regular file"):
        read_state_dict(tmp_path / "pipe.pth")


def test_file_name_that_is_not_utf_8_works(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pth")
    keras_cct.save_weights_file(golden_model("cct_2_3x2_32"), path)
    assert_golden(read_state_dict(path))
