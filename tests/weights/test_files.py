import sys

import numpy as np
import pytest
from fixtures.weight_files import ENDINGS, assert_identical_outputs, filled_model, skip_without_torch

import keras_cct
from keras_cct import create
from keras_cct.errors import VerificationError
from keras_cct.weights import files

SMALL = {"input_shape": (16, 16, 3)}
MODELS = ["cct_2_3x2_32", "manifold_cct_2_3x2_32"]


def assert_one_line(error, *words: str) -> None:
    assert "\n" not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


# Files of PyTorch are read into arrays of NumPy on every backend.
@pytest.mark.parametrize(
    "ending",
    [pytest.param(ending, marks=pytest.mark.one_backend if ending.startswith(".p") else ()) for ending in ENDINGS],
)
@pytest.mark.parametrize("name", MODELS)
def test_every_format_restores_identical_outputs(name, ending, tmp_path):
    skip_without_torch(ending)
    model = filled_model(name, **SMALL)
    keras_cct.save_weights_file(model, tmp_path / f"saved{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"saved{ending}"]
    assert_identical_outputs(keras_cct.create_model(name, weights=tmp_path / f"saved{ending}", **SMALL), model)


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pth.tar"])
def test_state_dict_has_the_names_and_layout_of_pytorch(ending, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    from safetensors.torch import load_file

    model = filled_model("vit_2_4_32")
    keras_cct.save_weights_file(model, tmp_path / f"saved{ending}")
    read = load_file if ending == ".safetensors" else torch.load
    content = read(tmp_path / f"saved{ending}")
    content = content["state_dict"] if ending == ".pth.tar" else content
    expected = keras_cct.export_torch_weights(model)
    assert content.keys() == expected.keys()
    assert all(np.array_equal(content[key].numpy(), array) for key, array in expected.items())


@pytest.mark.parametrize("ending", ENDINGS)
def test_truncated_file_and_web_page_are_one_line_errors(ending, tmp_path):
    skip_without_torch(ending)
    file = tmp_path / f"saved{ending}"
    keras_cct.save_weights_file(filled_model("cct_2_3x2_32", **SMALL), file)
    for content in (file.read_bytes()[: file.stat().st_size // 2], b"<!DOCTYPE html><html>404</html>", b""):
        file.write_bytes(content)
        with pytest.raises(keras_cct.InputError) as error:
            keras_cct.create_model("cct_2_3x2_32", weights=file, **SMALL)
        assert_one_line(error, str(file))


@pytest.mark.parametrize("ending", ENDINGS)
def test_weights_of_another_variant_are_a_one_line_error(ending, tmp_path):
    skip_without_torch(ending)
    keras_cct.save_weights_file(filled_model("cvt_2_4_32"), tmp_path / f"saved{ending}")
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.create_model("vit_2_4_32", weights=tmp_path / f"saved{ending}")
    assert_one_line(error, "the weights do not match model 'vit_2_4_32': missing", "unexpected", "othing was loaded")


def test_indivisible_image_size_is_a_one_line_error(tmp_path):
    keras_cct.save_weights_file(filled_model("cvt_2_4_32"), tmp_path / "saved.safetensors")
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "saved.safetensors", input_shape=(3, 3, 3))
    assert_one_line(error, "patch_size=4", "3x3")


def test_missing_pytorch_is_reported_before_any_work(tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("work was done")

    (tmp_path / "model.pth").touch()
    model = filled_model("cvt_2_4_32")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(create, "build_model", fail)
    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr(files, "export_torch_weights", fail)
    for attempt in (
        lambda: keras_cct.create_model("cvt_2_4_32", weights=tmp_path / "model.pth"),
        lambda: keras_cct.create_model("cvt_2_4_32", weights="http://127.0.0.1:9/model.pth"),
        lambda: keras_cct.create_model("cct_7_3x1_32", weights="cifar10"),
        lambda: keras_cct.save_weights_file(model, tmp_path / "new.pth"),
    ):
        with pytest.raises(keras_cct.InputError) as error:
            attempt()
        assert_one_line(error, "pip install torch")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("there.keras", "exists already"),
        ("nowhere/new.keras", "nowhere' does not exist"),
        ("new.onnx", ".keras, .weights.h5, .safetensors, .pth"),
    ],
)
def test_path_that_cannot_be_written_is_rejected(name, message, tmp_path):
    (tmp_path / "there.keras").write_text("precious")
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.save_weights_file(filled_model("cvt_2_4_32"), tmp_path / name)
    assert_one_line(error, message)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_file_with_other_weights_is_deleted(tmp_path, monkeypatch):
    model = filled_model("cvt_2_4_32")
    write = files.write_state_dict

    def write_wrong(arrays, path):
        write(arrays | {"classifier.fc.bias": arrays["classifier.fc.bias"] + 1}, path)

    monkeypatch.setattr(files, "write_state_dict", write_wrong)
    with pytest.raises(VerificationError, match="the written weights differ .*: classifier.fc.bias"):
        keras_cct.save_weights_file(model, tmp_path / "new.safetensors")
    assert list(tmp_path.iterdir()) == []
