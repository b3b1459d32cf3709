"""Opens a model with a chosen runtime, exporting `.keras` files to it first."""

import tempfile
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cct.errors import InputError, check_path, check_setting
from keras_cct.inference.artifacts import (
    ARTIFACT_NAMES,
    FORMATS,
    KERAS,
    artifact_format,
    find_artifact,
    find_keras_file,
)
from keras_cct.inference.predictors import open_artifact

if TYPE_CHECKING:
    from keras_cct.inference.predictor import Predictor

RUNTIMES = (KERAS, *FORMATS)


def load_predictor(
    path: str | PathLike, runtime: str | None = None, compute_dtype: str = "float32", *, trust: bool = False
) -> "Predictor":
    """Returns a predictor for a model on disk.

    Args:
        path: A run folder, a `.keras` file, or an artifact of `keras_cct export`: SavedModel, ONNX, OpenVINO or
            LiteRT. Artifacts are programs: load only those of people you trust. Or `hf://user/name`, a `.keras` file
            on the Hugging Face Hub.
        runtime: "keras", "savedmodel", "onnx", "openvino" or "litert". A `.keras` file or the best model of a run is
            exported to the runtime in a temporary folder; an artifact opens only with its own runtime. None selects the
            runtime of the artifact; for a run folder, the runtime of its SavedModel.
        compute_dtype: Precision of the computation, "float32", or "bfloat16" with OpenVINO.
        trust: Whether a `.keras` file may contain other layers than those of this package, and so run any code.

    Raises:
        InputError: There is no model at the path, it is corrupted, its runtime is not installed, or the artifact
            belongs to another runtime.
    """
    check_path("path", path)
    if runtime is None:
        return open_artifact(path, compute_dtype, trust=trust)
    check_setting("runtime", runtime, isinstance(runtime, str) and runtime in RUNTIMES, f"one of {', '.join(RUNTIMES)}")
    artifact = find_artifact(path) if runtime == "savedmodel" else find_keras_file(path)
    name = artifact_format(artifact)
    if name == runtime:
        return open_artifact(artifact, compute_dtype, trust=trust)
    if name != KERAS:
        raise InputError(
            f"{str(path)!r} is an artifact of {name}, not of {runtime}. Use a .keras file, or omit the runtime."
        )
    from keras_cct.export.model import export_model

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder, ARTIFACT_NAMES[runtime])
        export_model(artifact, exported, runtime, trust=trust)
        return open_artifact(exported, compute_dtype)
