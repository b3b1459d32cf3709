"""Runs functions that need Keras on TensorFlow, in a subprocess if this process uses JAX or PyTorch."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_cct.errors import InputError
from keras_cct.weights.formats import read_keras_file

_INPUT_ERROR = f"{InputError.__module__}.{InputError.__qualname__}: "
"""Prefix of the last line on standard error of a process that raised InputError."""


def call_on_tensorflow(function: Callable[..., None], model: keras.Model, path: Path, **arguments: Any) -> None:
    """Calls `function(model, path, **arguments)` with Keras on TensorFlow.

    Args:
        function: A module-level function that writes to the path.
        model: A model on any backend.
        path: The file or folder to write.
        **arguments: JSON-serializable keyword arguments.

    Raises:
        InputError: The function raised it.
        RuntimeError: TensorFlow cannot write the model.
    """
    if keras.backend.backend() == "tensorflow":
        function(model, path, **arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        model_file, request_file = Path(folder, "model.keras"), Path(folder, "request.json")
        model.save(model_file)
        request_file.write_text(json.dumps([function.__module__, function.__name__, str(path), arguments]))
        # TensorFlow and the framework of this process cannot share a GPU.
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-m", __name__, str(model_file), str(request_file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = (done.stderr.strip() or "no message").splitlines()[-1]
        if message.startswith(_INPUT_ERROR):
            raise InputError(message.removeprefix(_INPUT_ERROR))
        raise RuntimeError(f"TensorFlow cannot write the model: {message}")


def _run_request(model_file: str, request_file: str) -> None:
    module, name, path, arguments = json.loads(Path(request_file).read_text())
    # The parent process wrote the file. Its model may have layers of other packages if its user trusts them.
    model = read_keras_file(model_file, trust=True)
    getattr(importlib.import_module(module), name)(model, Path(path), **arguments)


if __name__ == "__main__":
    _run_request(*sys.argv[1:])
