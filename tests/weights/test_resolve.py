import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest
from fixtures.weight_files import assert_identical_outputs, filled_model

import keras_cct
from keras_cct.weights import pretrained, resolve
from keras_cct.weights.resolve import resolve_weights

URL = "https://example.org/weights/mine.safetensors"
(BUNDLED,) = [checkpoint for checkpoint in pretrained.CHECKPOINTS if checkpoint.bundled]
PUBLISHED = pretrained.Checkpoint(
    variant="cvt_2_4_32",
    tag="cifar10-7",
    location="folder/mine.safetensors",
    sha256=None,
    num_params=214_539,
    epochs="7",
    top1=50.0,
)


@pytest.fixture
def checkpoint_folder(tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("something was downloaded")

    monkeypatch.setattr(resolve, "download", fail)
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    return tmp_path


def overwrite_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_checkpoint_folder_contains_files_by_the_last_part_of_their_url(checkpoint_folder):
    pytest.importorskip("torch", reason="PyTorch is an extra")
    for name in ("cct_7_3x1_32_cifar10_300epochs.pth", "mine.safetensors"):
        (checkpoint_folder / name).touch()
    published = resolve_weights("cct_7_3x1_32", "cifar10").fetch()
    assert published == checkpoint_folder / "cct_7_3x1_32_cifar10_300epochs.pth"
    assert resolve_weights("cvt_2_4_32", URL).fetch() == checkpoint_folder / "mine.safetensors"


def test_file_missing_from_the_checkpoint_folder_is_named_with_its_url(checkpoint_folder):
    with pytest.raises(keras_cct.InputError, match="does not exist") as error:
        resolve_weights("cvt_2_4_32", URL).fetch()
    assert str(checkpoint_folder / "mine.safetensors") in str(error.value)
    assert URL in str(error.value)


def test_weights_from_the_checkpoint_folder_load(checkpoint_folder):
    model = filled_model("cvt_2_4_32")
    keras_cct.save_weights_file(model, checkpoint_folder / "mine.safetensors")
    assert_identical_outputs(keras_cct.create_model("cvt_2_4_32", weights=URL), model)


def test_published_hash_is_checked_and_does_not_make_a_checkpoint_bundled(checkpoint_folder, monkeypatch):
    file = checkpoint_folder / "mine.safetensors"
    file.write_bytes(b"weights")
    checkpoint = dataclasses.replace(PUBLISHED, sha256=hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(pretrained, "CHECKPOINTS", [checkpoint])
    resolved = resolve_weights("cvt_2_4_32", "cifar10-7")
    assert resolved.location == checkpoint.url == f"{pretrained.BASE_URL}folder/mine.safetensors"
    assert resolved.fetch() == file
    overwrite_last_byte(file)
    with pytest.raises(keras_cct.InputError, match=f"has changed: its SHA-256 is not {checkpoint.sha256}"):
        resolved.fetch()


def test_published_hash_is_passed_to_the_download(monkeypatch, tmp_path):
    checkpoint = dataclasses.replace(PUBLISHED, sha256="0" * 64)
    monkeypatch.setattr(pretrained, "CHECKPOINTS", [checkpoint])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(resolve, "download", lambda *arguments: arguments)
    folder = tmp_path / "models" / "keras_cct"
    assert resolve_weights("cvt_2_4_32", "cifar10-7").fetch() == (checkpoint.url, folder, checkpoint.sha256)


def test_bundled_weights_need_no_network(checkpoint_folder):
    model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")
    assert model.input_shape == (None, 28, 28, 1)
    evaluation = keras_cct.evaluate(keras_cct.KerasPredictor(model), keras_cct.load_sample("test"))
    # That of the 1,000 images of the sample. Another order of rounding may change one or two predictions.
    assert evaluation.top1 == pytest.approx(94.7, abs=0.2)


def test_changed_bundled_weights_are_rejected(tmp_path, monkeypatch):
    copy = Path(shutil.copy(resolve_weights(BUNDLED.variant, BUNDLED.tag).fetch(), tmp_path))
    monkeypatch.setattr(resolve, "BUNDLED_FOLDER", tmp_path)
    resolved = resolve_weights(BUNDLED.variant, BUNDLED.tag)
    assert resolved.fetch() == copy
    overwrite_last_byte(copy)
    with pytest.raises(keras_cct.InputError, match="has changed.* Reinstall keras_cct"):
        resolved.fetch()
    copy.unlink()
    with pytest.raises(keras_cct.InputError, match="does not exist.* Reinstall keras_cct"):
        resolved.fetch()


def test_bundled_weights_adapt_to_another_input_shape_and_classes():
    with pytest.warns(UserWarning, match="head stays untrained"):
        model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist", input_shape=(32, 48, 3), num_classes=4)
    assert model.output_shape == (None, 4)
    assert model.get_layer("head").class_names is None


def test_checkpoint_defines_the_class_names(checkpoint_folder, monkeypatch):
    keras_cct.save_weights_file(filled_model("cvt_2_4_32"), checkpoint_folder / "mine.safetensors")
    monkeypatch.setattr(pretrained, "CHECKPOINTS", [PUBLISHED])
    model = keras_cct.create_model("cvt_2_4_32", weights="cifar10-7")
    assert model.get_layer("head").class_names == keras_cct.class_names("cifar10")
    names = [f"class {index}" for index in range(10)]
    model = keras_cct.create_model("cvt_2_4_32", weights="cifar10-7", class_names=names)
    assert model.get_layer("head").class_names == tuple(names)
    assert keras_cct.create_model("cvt_2_4_32").get_layer("head").class_names is None


@pytest.mark.parametrize(
    ("variant", "weights", "message"),
    [
        ("cvt_2_4_32", "none.safetensors", "'none.safetensors' does not exist"),
        ("cvt_2_4_32", "model.zip", "'model.zip' is not a weights file.*.keras, .weights.h5, .safetensors, .pth"),
        ("cvt_2_4_32", "https://example.org/model.zip", "is not a weights file"),
        ("cvt_2_4_32", Path("fashion_mnist"), "'fashion_mnist' is not a weights file"),
        ("cvt_2_4_33", "cifar10", "unknown variant 'cvt_2_4_33'"),
        ("cvt_2_4_32", "cifar10", "cvt_2_4_32 has no published weights 'cifar10'"),
        (None, "cifar10", "'cifar10' is the tag of a checkpoint. Pass the name of its variant"),
    ],
)
def test_weights_that_cannot_be_found_are_rejected(variant, weights, message):
    with pytest.raises(keras_cct.InputError, match=message):
        resolve_weights(variant, weights)


def test_arguments_are_checked_before_the_download(monkeypatch):
    monkeypatch.setattr(pretrained, "CHECKPOINTS", [PUBLISHED])
    monkeypatch.setattr(resolve, "download", None)
    with pytest.raises(keras_cct.InputError, match="dropout_rate"):
        keras_cct.create_model("cvt_2_4_32", weights="cifar10-7", dropout_rate=2.0)
