import subprocess
import sys
from pathlib import Path

import pytest

import keras_cct

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.tensorflow
def test_the_phone_example_needs_the_interpreter_numpy_and_pillow_alone(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="the runtimes are extras")
    model = tmp_path / "model.tflite"
    keras_cct.export_model(keras_cct.create_model("cct_2_3x2_32", weights="fashion_mnist"), model, "litert")
    program = (
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "assert not {'keras', 'tensorflow', 'keras_cct'} & set(sys.modules)"
    )
    arguments = [EXAMPLES / "litert" / "classify.py", model, EXAMPLES / "images" / "sneaker.png"]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first.split() == ["91.15", "%", "sneaker"]
    assert len(others) == 4
