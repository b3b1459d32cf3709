"""Opens artifacts of every format as predictors. Imports only the runtime that the artifact needs."""

import importlib
from os import PathLike
from typing import TYPE_CHECKING

from keras_cct.errors import InputError, check_setting
from keras_cct.inference.artifacts import KERAS, artifact_format, find_artifact

if TYPE_CHECKING:
    import keras

    from keras_cct.inference.predictor import Predictor

COMPUTE_DTYPES = ("float32", "bfloat16")

_PREDICTORS = {
    "savedmodel": ("keras_cct.inference.saved_model", "SavedModelPredictor"),
    "onnx": ("keras_cct.inference.onnx", "OnnxPredictor"),
    "openvino": ("keras_cct.inference.openvino", "OpenVinoPredictor"),
    "litert": ("keras_cct.inference.litert", "LiteRtPredictor"),
}


def open_artifact(path: str | PathLike, compute_dtype: str = "float32", *, trust: bool = False) -> "Predictor":
    """Returns a predictor for a model on disk.

    Args:
        path: A run folder, a `.keras` file, or an artifact of `keras_cct export`: SavedModel, ONNX, OpenVINO or
            LiteRT. Artifacts are programs: load only those of people you trust.
        compute_dtype: Precision of the computation, "float32", or "bfloat16" with OpenVINO.
        trust: Whether a `.keras` file may contain other layers than those of this package, and so run any code.

    Raises:
        InputError: There is no model at the path, it is corrupted, or its runtime is not installed.
    """
    check_setting("compute_dtype", compute_dtype, compute_dtype in COMPUTE_DTYPES, " or ".join(COMPUTE_DTYPES))
    artifact = find_artifact(path)
    name = artifact_format(artifact)
    if compute_dtype != "float32" and name != "openvino":
        raise InputError(f"compute_dtype={compute_dtype!r} is not supported by {name}. Use OpenVINO.")
    if name == KERAS:
        from keras_cct.inference.keras_model import KerasPredictor
        from keras_cct.weights.formats import read_keras_file

        return KerasPredictor(read_keras_file(artifact, trust=trust))
    module, class_name = _PREDICTORS[name]
    try:
        predictor_class = getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        raise InputError(f"{name} is not installed: {error}. Run `pip install 'keras_cct[{name}]'`.") from error
    return predictor_class(artifact, compute_dtype) if name == "openvino" else predictor_class(artifact)


def as_predictor(model: "Predictor | keras.Model") -> "Predictor":
    """Wraps a Keras model as a predictor; returns predictors unchanged.

    Raises:
        InputError: The Keras model takes normalized images, or has no head.
    """
    if hasattr(model, "probabilities"):
        return model
    from keras_cct.inference.keras_model import KerasPredictor

    return KerasPredictor(model)
