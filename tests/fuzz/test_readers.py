"""Every reader of files from others ends in success or in one InputError, whatever the bytes are.

`make fuzz` runs this for an hour: KERAS_CCT_FUZZ_SECONDS is the time per reader, KERAS_CCT_FUZZ_SEED the seed.
"""

import gzip
import io
import struct
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures import hostile_keras
from fixtures.weight_files import filled_model
from fuzz.mutations import assert_read_or_refused, fuzz, fuzz_reader
from hypothesis import strategies as st

import keras_cct
from keras_cct.data.sources.folder import order_classes
from keras_cct.data.sources.idx import read_idx
from keras_cct.data.sources.open import open_source
from keras_cct.data.sources.source import Source
from keras_cct.weights.files import inspect_weights, load_weights_file
from keras_cct.weights.formats import read_keras_file, read_state_dict

VARIANT = "cvt_2_4_32"
SMALL = {"input_shape": (8, 8, 3), "num_classes": 3, "num_layers": 1, "num_heads": 1, "dim": 4}


def torch_bytes(is_zip: bool) -> bytes:
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    buffer = io.BytesIO()
    tensors = {"a": torch.ones(3, 4), "b": torch.zeros(2).bfloat16()}
    torch.save({"state_dict": tensors}, buffer, _use_new_zipfile_serialization=is_zip)
    return buffer.getvalue()


def saved_bytes(ending: str, folder: Path) -> bytes:
    path = folder / f"good{ending}"
    keras_cct.save_weights_file(filled_model(VARIANT, **SMALL), path)
    content = path.read_bytes()
    path.unlink()
    return content


def npz_bytes() -> bytes:
    images, labels = np.zeros((3, 4, 4), "uint8"), np.array([0, 1, 1])
    buffer = io.BytesIO()
    np.savez(buffer, x_train=images, y_train=labels, x_test=images, y_test=labels, class_names=np.array(["a", "b"]))
    return buffer.getvalue()


def idx_bytes() -> bytes:
    return bytes((0, 0, 8, 3)) + struct.pack(">3i", 2, 3, 4) + bytes(range(24))


def test_keras_files(tmp_path):
    before = keras.config.dtype_policy().name, keras.config.floatx()
    fuzz_reader(saved_bytes(".keras", tmp_path), tmp_path / "fuzzed.keras", read_keras_file)
    assert (keras.config.dtype_policy().name, keras.config.floatx()) == before


def test_configs_of_keras_files(tmp_path):
    content = hostile_keras.members()[hostile_keras.CONFIG]

    def read(path):
        try:
            archive = hostile_keras.with_config(path.read_bytes())
            path.with_suffix(".keras").write_bytes(archive)
            read_keras_file(path.with_suffix(".keras"))
        finally:
            assert keras.config.floatx() == "float32"

    fuzz_reader(content, tmp_path / "fuzzed.json", lambda path: rename_errors(read, path))


def rename_errors(read, path):
    """Raises the errors about the archive around a file as errors about the file."""
    try:
        read(path)
    except keras_cct.InputError as error:
        raise keras_cct.InputError(str(error).replace(".keras", ".json")) from error


@st.composite
def edited_config(draw) -> dict:
    """Draws a good config in which one value, at any depth, is replaced by another."""
    values = [None, True, 0, -1, 2, 10**9, 10**30, 1e308, "x", "", [], [[]], {}, {"class_name": "x"}]
    config = hostile_keras.good_config()
    node = draw(st.sampled_from(config["config"]["layers"]))
    for _ in range(draw(st.integers(0, 5))):
        items = node.values() if isinstance(node, dict) else node
        children = [item for item in items if isinstance(item, dict | list) and item]
        if not children:
            break
        node = draw(st.sampled_from(children))
    key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    node[key] = draw(st.sampled_from(values))
    return config


def test_values_in_configs_of_keras_files(tmp_path):
    path = tmp_path / "fuzzed.keras"
    fuzz(
        edited_config(), lambda config: assert_read_or_refused(read_keras_file, path, hostile_keras.with_config(config))
    )


def test_weights_in_keras_files(tmp_path):
    contents = hostile_keras.members()

    def read(path):
        contents[hostile_keras.WEIGHTS] = path.read_bytes()
        path.with_suffix(".keras").write_bytes(hostile_keras.archive_of(list(contents.items())))
        read_keras_file(path.with_suffix(".keras"))

    good = contents[hostile_keras.WEIGHTS]
    fuzz_reader(good, tmp_path / "fuzzed.json", lambda path: rename_errors(read, path))


def test_keras_weights_files(tmp_path):
    model = keras_cct.create_model(VARIANT, **SMALL)
    good = saved_bytes(".weights.h5", tmp_path)

    def read(path):
        inspect_weights(path)
        load_weights_file(model, path)

    fuzz_reader(good, tmp_path / "fuzzed.weights.h5", lambda path: ignore_mismatch(read, path))


def ignore_mismatch(read, path):
    """Leaves out errors about the names and shapes of intact files, which name the model instead of the file."""
    try:
        read(path)
    except keras_cct.InputError as error:
        if "the weights do not match model" not in str(error):
            raise


def test_safetensors_files(tmp_path):
    fuzz_reader(saved_bytes(".safetensors", tmp_path), tmp_path / "fuzzed.safetensors", read_state_dict)


@pytest.mark.parametrize("is_zip", [True, False])
def test_torch_files(is_zip, tmp_path):
    fuzz_reader(torch_bytes(is_zip), tmp_path / "fuzzed.pth", read_state_dict)


def test_npz_files(tmp_path):
    fuzz_reader(npz_bytes(), tmp_path / "fuzzed.npz", lambda path: open_source(Source("mine", str(path))))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files(suffix, tmp_path):
    good = gzip.compress(idx_bytes(), mtime=0) if suffix else idx_bytes()
    fuzz_reader(good, tmp_path / f"fuzzed-ubyte{suffix}", read_idx)


def test_class_maps(tmp_path):
    fuzz_reader("ant\nbee\nélan\n".encode(), tmp_path / "fuzzed.txt", lambda path: order_classes(["ant"], str(path)))
