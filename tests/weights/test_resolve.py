import shutil

import pytest
from fixtures.weight_files import assert_same_answers, filled_model

import keras_cct
from keras_cct.weights import pretrained
from keras_cct.weights import resolve as find
from keras_cct.weights.resolve import find_weights

ADDRESS = "https://example.org/weights/mine.safetensors"


@pytest.fixture
def checkpoint_folder(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("something was downloaded")

    monkeypatch.setattr(find, "download", never)
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    return tmp_path


def test_a_checkpoint_folder_has_the_files_by_the_names_of_their_addresses(checkpoint_folder):
    pytest.importorskip("torch", reason="PyTorch is an extra")
    for name in ("cct_7_3x1_32_cifar10_300epochs.pth", "mine.safetensors"):
        (checkpoint_folder / name).touch()
    assert find_weights("cct_7_3x1_32", "cifar10") == checkpoint_folder / "cct_7_3x1_32_cifar10_300epochs.pth"
    assert find_weights("cvt_2_4_32", ADDRESS) == checkpoint_folder / "mine.safetensors"


def test_what_is_not_in_the_checkpoint_folder_is_named(checkpoint_folder):
    with pytest.raises(keras_cct.InputError) as error:
        find_weights("cvt_2_4_32", ADDRESS)
    path = checkpoint_folder / "mine.safetensors"
    assert str(error.value) == f"{str(path)!r} is missing in the checkpoint folder. Put {ADDRESS} there."


def test_weights_from_the_checkpoint_folder_load(checkpoint_folder):
    model = filled_model("cvt_2_4_32")
    keras_cct.save_weights_file(model, checkpoint_folder / "mine.safetensors")
    assert_same_answers(keras_cct.create_model("cvt_2_4_32", weights=ADDRESS), model)


def test_weights_in_the_package_need_no_network(checkpoint_folder):
    model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist")
    assert model.input_shape == (None, 28, 28, 1)
    (row,) = [checkpoint for checkpoint in pretrained.CHECKPOINTS if checkpoint.sha256]
    accuracy = keras_cct.evaluate(keras_cct.KerasPredictor(model), keras_cct.load_sample("test"))
    # Other orders of rounding may tip an image or two of the thousand.
    assert accuracy["top1"] == pytest.approx(row.top1, abs=0.2)


def test_weights_in_the_package_that_have_changed_are_refused(tmp_path, monkeypatch):
    (row,) = [checkpoint for checkpoint in pretrained.CHECKPOINTS if checkpoint.sha256]
    copy = shutil.copy(find_weights(row.variant, row.tag), tmp_path)
    monkeypatch.setattr(find, "_SHIPPED", tmp_path)
    assert str(find_weights(row.variant, row.tag)) == copy
    with open(copy, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(keras_cct.InputError, match="is missing or has changed. Install keras_cct again."):
        find_weights(row.variant, row.tag)


def test_weights_in_the_package_fit_other_images_and_classes():
    with pytest.warns(UserWarning, match="its head stays untrained"):
        model = keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist", input_shape=(32, 48, 3), num_classes=4)
    assert model.output_shape == (None, 4)
    assert model.get_layer("head").class_names is None


def test_a_checkpoint_names_its_classes(monkeypatch, tmp_path):
    row = pretrained.Checkpoint("cvt_2_4_32", "cifar10-7", "mine.safetensors", 0, "7", 50.0)
    keras_cct.save_weights_file(filled_model("cvt_2_4_32"), tmp_path / row.path)
    monkeypatch.setattr(pretrained, "CHECKPOINTS", [row])
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    model = keras_cct.create_model("cvt_2_4_32", weights="cifar10-7")
    assert model.get_layer("head").class_names == keras_cct.class_names("cifar10")
    own = [f"class {index}" for index in range(10)]
    model = keras_cct.create_model("cvt_2_4_32", weights="cifar10-7", class_names=own)
    assert model.get_layer("head").class_names == tuple(own)
    assert keras_cct.create_model("cvt_2_4_32").get_layer("head").class_names is None
