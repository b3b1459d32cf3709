"""Only `trust` and --trust load a `.keras` file with layers of another package."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures import hostile_keras
from fixtures.custom_layer import custom_model
from fixtures.weight_files import assert_identical_outputs

import keras_cct
from keras_cct.cli import main
from keras_cct.inference.keras_model import KerasPredictor
from keras_cct.weights.keras_file import read_keras_file

REFUSED = "custom.keras.*Doubled.*trust=True or --trust"
VARIANT = {"input_shape": (8, 8, 3), "num_classes": 3, "num_layers": 1, "num_heads": 1, "dim": 4}


@pytest.fixture(scope="module")
def model():
    return custom_model()


@pytest.fixture
def file(model, tmp_path):
    model.save(tmp_path / "custom.keras")
    return tmp_path / "custom.keras"


def test_file_is_loaded_with_trust_only(model, file):
    with pytest.raises(keras_cct.InputError, match=REFUSED):
        read_keras_file(file)
    assert_identical_outputs(read_keras_file(file, trust=True), model)


@pytest.mark.parametrize("trust", ["no", 1, None])
def test_trust_is_a_boolean(trust, file):
    with pytest.raises(keras_cct.InputError, match="trust must be True or False"):
        read_keras_file(file, trust=trust)


@pytest.mark.tensorflow
@pytest.mark.parametrize("runtime", [None, "savedmodel"])
def test_predictors_and_their_exports(runtime, model, file):
    with pytest.raises(keras_cct.InputError, match=REFUSED):
        keras_cct.load_predictor(file, runtime)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype="uint8")
    predictor = keras_cct.load_predictor(file, runtime, trust=True)
    np.testing.assert_allclose(
        predictor.probabilities(images), KerasPredictor(model).probabilities(images), rtol=0, atol=1e-4
    )


def test_weights_of_create_model_and_of_convert_weights(model, file, tmp_path):
    with pytest.raises(keras_cct.InputError, match=REFUSED):
        keras_cct.create_model("cvt_2_4_32", weights=file, **VARIANT)
    with pytest.raises(keras_cct.InputError, match=REFUSED):
        keras_cct.convert_weights(file, tmp_path / "weights.safetensors")
    keras_cct.convert_weights(file, tmp_path / "weights.safetensors", trust=True)
    loaded = keras_cct.create_model("cvt_2_4_32", weights=file, trust=True, **VARIANT)
    expected = keras_cct.export_torch_weights(model)
    for key, array in keras_cct.export_torch_weights(loaded).items():
        np.testing.assert_array_equal(array, expected[key])


COMMANDS = {
    "predict": ["predict", "{model}", "{image}"],
    "evaluate": ["evaluate", "{model}"],
    "export": ["export", "{model}", "{out}/exported"],
    "convert": ["convert", "{model}", "{out}/weights.h5.safetensors"],
    "benchmark": ["benchmark", "{model}", "--batch-size", "1", "--seconds", "0", "--runtime", "savedmodel"],
    "benchmark in a process": ["benchmark", "{model}", "--batch-size", "1", "--seconds", "0"],
    "train": ["train", "--initial-checkpoint", "{model}", "--output", "{out}/run"],
}


@pytest.mark.parametrize(
    ("module", "advice"), [("fixtures.missing", "PYTHONPATH"), ("fixtures.arrays", "Use the version of the module")]
)
def test_class_that_cannot_be_imported_is_named(module, advice, file):
    contents = hostile_keras.members(file)
    config = contents["config.json"].decode()
    renamed = config.replace("fixtures.custom_layer", module).replace("other_package", "another_package")
    file.write_bytes(hostile_keras.archive_of(list((contents | {"config.json": renamed.encode()}).items())))
    with pytest.raises(keras_cct.InputError, match=f"custom.keras.*{module}.*{advice}"):
        read_keras_file(file, trust=True)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.slow if "process" in name else ()) for name in COMMANDS]
)
def test_commands_refuse_in_one_line_that_names_the_flag(command, file, tmp_path, capfd):
    places = {"model": file, "image": Path("examples/images/bag.png").absolute(), "out": tmp_path}
    assert main([argument.format(**places) for argument in COMMANDS[command]]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "keras_cct" in line]
    assert "Doubled" in line
    assert "--trust" in line
    assert [path.name for path in tmp_path.iterdir()] == ["custom.keras"]


@pytest.mark.tensorflow
def test_command_imports_the_modules_of_layers_with_the_flag(file, tmp_path):
    packages = [str(Path(keras_cct.__file__).parents[1]), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(packages)}
    places = {"model": file, "image": Path("examples/images/bag.png").absolute(), "out": tmp_path}
    arguments = [argument.format(**places) for argument in COMMANDS["predict"]]
    done = subprocess.run(
        [sys.executable, "-m", "keras_cct", *arguments, "--trust"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "bag.png" in done.stdout
