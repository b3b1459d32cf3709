"""Models saved by version 0.1.0 still load, predict the same and can be saved again."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.weight_files import assert_identical_outputs

import keras_cct
from keras_cct.weights.formats import read_keras_file

FOLDER = Path(__file__).with_name("fixtures") / "saved_0_1_0"
EXPECTED = json.loads((FOLDER / "outputs.json").read_text())
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))
CLASSIFIERS = [name for name in NAMES if name != "features"]

LOAD_AND_PREDICT = """
import json, sys
from pathlib import Path

import keras_cct
import keras, numpy as np

images = np.random.default_rng(5).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
outputs = {}
for path in sorted(Path(sys.argv[1]).glob("*.keras")):
    output = keras.models.load_model(path)(images, training=False)
    outputs[path.stem] = keras.tree.map_structure(lambda tensor: keras.ops.convert_to_numpy(tensor).tolist(), output)
Path(sys.argv[2]).write_text(json.dumps(outputs))
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict:
    """Outputs of all files, computed by a process that imports nothing of the package but `keras_cct`."""
    file = tmp_path_factory.mktemp("outputs") / "outputs.json"
    subprocess.run([sys.executable, "-c", LOAD_AND_PREDICT, str(FOLDER), str(file)], check=True)
    return json.loads(file.read_text())


@pytest.mark.one_backend
@pytest.mark.parametrize("name", NAMES)
def test_saved_model_loads_and_predicts_the_same(name, outputs):
    # The expected outputs come from TensorFlow. The other backends sum in another order, which moves values of up to 3
    # in float32; a block with Grassmann attention amplifies rounding about tenfold.
    tolerance = 1e-6 if keras.backend.backend() == "tensorflow" else 5e-6
    tolerance *= 10 if name.startswith("grassmanian") else 1
    found, expected = outputs[name], EXPECTED[name]
    if not isinstance(expected, dict):
        found, expected = {"logits": found}, {"logits": expected}
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=0, atol=tolerance)


@pytest.mark.one_backend
@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".safetensors"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_saved_model_can_be_saved_again(name, ending, tmp_path):
    model = read_keras_file(FOLDER / f"{name}.keras")
    keras_cct.save_weights_file(model, tmp_path / f"again{ending}")
    if ending == ".keras":
        assert_identical_outputs(read_keras_file(tmp_path / "again.keras"), model)
