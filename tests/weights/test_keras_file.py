"""A `.keras` file is data: it can describe models of this package and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from fixtures import hostile_keras
from fixtures.weight_files import assert_identical_outputs, filled_model

import keras_cct
from keras_cct.weights.keras_file import read_keras_file

ATTACKS = list(hostile_keras.attacks("victim.png"))
MAX_SECONDS, MAX_BYTES = 2.0, 300e6
BUSY_MACHINE = 3
"""Factor on the time that allows for the tests that run beside this one."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict:
    """What happened to each malicious file, opened in a process with its own home and working directory."""
    folder, home, work = (tmp_path_factory.mktemp(name) for name in ("files", "home", "work"))
    for path in (home / "victim.png", work / "kept.txt"):
        path.write_text("precious")
    for name, content in hostile_keras.attacks(str(home / "victim.png")).items():
        (folder / f"{name}.keras").write_bytes(content)
    results = folder / "results.json"
    packages = [str(Path(keras_cct.__file__).parents[1]), str(Path(hostile_keras.__file__).parents[1])]
    environment = os.environ | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(packages)}
    command = [sys.executable, hostile_keras.__file__, str(folder), str(results)]
    subprocess.run(command, check=True, cwd=work, env=environment, timeout=300)
    assert (home / "victim.png").read_text() == "precious"
    return json.loads(results.read_text())


@pytest.mark.parametrize("name", ATTACKS)
def test_malicious_file_is_refused_without_effect(name, reports):
    report = reports[name]
    assert report["message"] is not None
    assert f"{name}.keras" in report["message"]
    assert len(report["message"]) <= 500
    assert "\n" not in report["message"]
    assert report["changes"] == []
    assert report["seconds"] < MAX_SECONDS * BUSY_MACHINE
    assert report["memory"] < MAX_BYTES


def test_keras_itself_runs_the_functions_that_are_refused_here(tmp_path):
    config = hostile_keras.plot_image_gallery(str(tmp_path / "written.png"))
    (tmp_path / "evil.keras").write_bytes(hostile_keras.with_config(config))
    with pytest.raises(keras_cct.InputError, match="function keras.visualization|Switch.*trust=True"):
        read_keras_file(tmp_path / "evil.keras")
    assert not (tmp_path / "written.png").exists()


MODELS = {
    "cct": ("cct_2_3x2_32", {"input_shape": (16, 12, 1), "class_names": [f"class {i}" for i in range(10)]}),
    "vit": ("vit_2_4_32", {"normalization": None}),
    "without a head": ("cvt_2_4_32", {"include_top": False, "position_embedding": "none"}),
    "sine": ("cvt_2_4_32", {"position_embedding": "sine"}),
    "manifold": ("manifold_cct_2_3x2_32", {"input_shape": (16, 16, 3)}),
    "grassmann": ("grassmanian_vit_2_4_32", {"input_shape": (16, 16, 3)}),
    "observability": ("cvt_2_4_32", {"input_shape": (16, 16, 3), "observability": (4, 4)}),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_is_rebuilt_as_keras_does(name, tmp_path):
    variant, fields = MODELS[name]
    model = filled_model(variant, **fields)
    model.save(tmp_path / "model.keras")
    rebuilt, expected = read_keras_file(tmp_path / "model.keras"), keras.models.load_model(tmp_path / "model.keras")
    assert json.dumps(rebuilt.get_config(), default=str) == json.dumps(expected.get_config(), default=str)
    assert [weight.path for weight in rebuilt.weights] == [weight.path for weight in expected.weights]
    assert [layer.trainable for layer in rebuilt.layers] == [layer.trainable for layer in expected.layers]
    assert_identical_outputs(rebuilt, model)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16"])
def test_dtype_policies_are_restored(policy, tmp_path):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = keras_cct.create_model("cvt_2_4_32", num_layers=1)
    finally:
        keras.config.set_dtype_policy(previous)
    model.save(tmp_path / "model.keras")
    rebuilt = read_keras_file(tmp_path / "model.keras")
    for weight, expected in zip(rebuilt.weights, model.weights, strict=True):
        assert weight.dtype == expected.dtype
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")),
            keras.ops.convert_to_numpy(keras.ops.cast(expected, "float32")),
        )


def test_compiled_model_loads_without_its_optimizer(tmp_path):
    model = keras_cct.create_model("cvt_2_4_32", num_layers=1)
    model.compile("adamw", "mse")
    model.optimizer.build(model.trainable_weights)
    model.trainable = False
    model.save(tmp_path / "model.keras")
    rebuilt = read_keras_file(tmp_path / "model.keras")
    assert not rebuilt.compiled
    assert not rebuilt.trainable_weights
    assert_identical_outputs(rebuilt, model)


def edited_weights(edit, tmp_path) -> Path:
    """Returns a `.keras` file whose HDF5 file was changed by a function."""
    contents = hostile_keras.members()
    weights = tmp_path / "weights.h5"
    weights.write_bytes(contents[hostile_keras.WEIGHTS])
    with h5py.File(weights, "r+") as file:
        edit(file)
    contents[hostile_keras.WEIGHTS] = weights.read_bytes()
    (tmp_path / "model.keras").write_bytes(hostile_keras.archive_of(list(contents.items())))
    return tmp_path / "model.keras"


BIAS = "layers/classifier_head/vars/1"


def replace_bias(**options):
    def edit(file):
        del file[BIAS]
        file.create_dataset(BIAS, **options)

    return edit


def link_bias(link):
    def edit(file):
        del file[BIAS]
        file[BIAS] = link

    return edit


def links_to_itself(count: int, name_length: int):
    def edit(file):
        for index in range(count):
            file["layers"][f"{index:0{name_length}}"] = file["layers"]

    return edit


def virtual_bias(file):
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


def cycle(file):
    file["layers/again"] = file["layers"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (link_bias(h5py.ExternalLink("/etc/passwd", "x")), "is a link"),
        (link_bias(h5py.SoftLink("/layers/classifier_head/vars/0")), "is a link"),
        (replace_bias(shape=(3,), dtype="f4", external=[("/etc/passwd", 0, 12)]), "is stored elsewhere"),
        (virtual_bias, "is stored elsewhere"),
        (replace_bias(shape=(10**12,), dtype="f4", chunks=(10,)), "in chunks"),
        (replace_bias(shape=(10**12,), dtype="f4"), "which the file lacks"),
        (replace_bias(data=["a", "b", "c"]), "has the dtype"),
        (replace_bias(data=np.zeros(3, "int32")), "has the dtype int32"),
        (replace_bias(data=np.zeros(4, "float32")), "vars/1 has shape"),
        (lambda file: file.__delitem__(BIAS), "weights, but the file has"),
        (lambda file: file.create_dataset("layers/more", data=np.zeros(3)), "unexpected layers/more"),
        (cycle, "nested groups|claim more"),
        (links_to_itself(40, 5), "more than 10000 objects|claim more"),
        (links_to_itself(1, 300), "a name of more than 255 characters"),
    ],
)
def test_weights_that_are_not_plain_arrays_are_refused(edit, message, tmp_path):
    with pytest.raises(keras_cct.InputError, match=message) as error:
        read_keras_file(edited_weights(edit, tmp_path))
    assert "model.keras" in str(error.value)
    assert len(str(error.value)) <= 500


def test_path_that_is_not_a_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "device.keras").symlink_to("/dev/zero")
    (tmp_path / "folder.keras").mkdir()
    for name, problem in (("pipe", "not a regular"), ("device", "not a regular"), ("folder", "is a folder")):
        with pytest.raises(keras_cct.InputError, match=problem):
            read_keras_file(tmp_path / f"{name}.keras")


def test_file_name_that_is_not_utf_8_works(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.keras")
    Path(path).write_bytes(hostile_keras.GOOD.read_bytes())
    assert read_keras_file(path).name == "vit_2_4_32"
    Path(path).write_bytes(b"broken")
    with pytest.raises(keras_cct.InputError, match="is not a .keras file"):
        read_keras_file(path)


def rename_layers(names: dict[str, str]) -> bytes:
    text = hostile_keras.members()[hostile_keras.CONFIG].decode()
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    return hostile_keras.with_config(text.encode())


@pytest.mark.parametrize("names", [{"position_embedding": "x", "norm": "position_embedding"}, {"tokenizer": "block_7"}])
def test_layers_with_the_names_of_others_are_one_error(names, tmp_path):
    (tmp_path / "renamed.keras").write_bytes(rename_layers({**names}))
    read_keras_file(tmp_path / "renamed.keras")
    with pytest.raises(keras_cct.InputError, match="has no entry in a state dict"):
        keras_cct.convert_weights(tmp_path / "renamed.keras", tmp_path / "new.safetensors")
    with pytest.raises(keras_cct.InputError, match="renamed.keras.*has no entry in a state dict"):
        keras_cct.create_model("vit_2_4_32", weights=tmp_path / "renamed.keras")


@pytest.mark.parametrize("name", ["tab\tname", "next\u0085line", "\u009b31m", "slash/", "x" * 201])
def test_names_of_layers_are_printable(name, tmp_path):
    (tmp_path / "model.keras").write_bytes(rename_layers({"norm": json.dumps(name)[1:-1]}))
    with pytest.raises(keras_cct.InputError, match="must be printable text of at most 200 characters") as error:
        read_keras_file(tmp_path / "model.keras")
    assert str(error.value).isprintable()


def test_a_normalization_whose_constants_are_as_large_as_images_is_refused(tmp_path):
    text = hostile_keras.members()[hostile_keras.CONFIG].decode()
    assert '"axis": [-1]' in text
    path = tmp_path / "model.keras"
    path.write_bytes(hostile_keras.with_config(text.replace('"axis": [-1]', '"axis": [1, 2, 3]').encode()))
    with pytest.raises(keras_cct.InputError, match="the axis .* is not the last one"):
        read_keras_file(path)
