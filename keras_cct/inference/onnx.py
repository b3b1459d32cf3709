"""Predicts with an ONNX file written by `export_model`; needs only ONNX Runtime and NumPy."""

from pathlib import Path

import numpy as np
import onnxruntime

from keras_cct.files import reading
from keras_cct.inference.metadata import (
    ADVICE,
    EXPECTED,
    INPUT_NAME,
    OUTPUT_NAME,
    ArtifactMetadata,
    check_signature,
)
from keras_cct.inference.predictor import check_images, predict_black_image, predict_in_batches

METADATA_KEY = "keras_cct"
"""Key of the artifact's metadata in the ONNX model's metadata properties."""

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
        with reading(path, EXPECTED, ADVICE):
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            metadata = ArtifactMetadata.from_json(
                self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, ""), path
            )
            (images,), (probabilities,) = self._session.get_inputs(), self._session.get_outputs()
            check_signature(path, metadata, images.shape, probabilities.shape)
            self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
            self._batch_size = metadata.batch_size
            predict_black_image(self)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        images = check_images(images, self.image_shape)
        return predict_in_batches(self._predict, images, self._batch_size, self.class_names)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        (probabilities,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: pixels})
        return np.asarray(probabilities)
