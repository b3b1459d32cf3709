"""Predicts with an ONNX file written by `export_model`; needs only ONNX Runtime and NumPy."""

from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as errors  # pyright: ignore[reportAttributeAccessIssue] # C++

from keras_cct.inference.metadata import INPUT_NAME, OUTPUT_NAME, ArtifactMetadata, foreign_artifact
from keras_cct.inference.predictor import check_images, predict_in_batches

METADATA_KEY = "keras_cct"
"""Key of the artifact's metadata in the ONNX model's metadata properties."""

LOADING_ERRORS = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NotImplemented,
)

ERROR_LEVEL = 3
"""Log level of ONNX Runtime that hides warnings."""


class OnnxPredictor:
    """Predicts with an ONNX file on the CPU.

    Args:
        path: The file.

    Raises:
        InputError: The file is corrupted, or was not written by keras_cct.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERROR_LEVEL
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except LOADING_ERRORS as error:
            raise foreign_artifact(path) from error
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
        metadata = ArtifactMetadata.from_json(text, path)
        self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
        self._batch_size = metadata.batch_size

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return predict_in_batches(self._predict, check_images(images, self.image_shape), self._batch_size)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: pixels})
        return np.asarray(probabilities)
