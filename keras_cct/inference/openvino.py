"""Predicts with an OpenVINO model written by `export_model`; needs only OpenVINO and NumPy."""

from pathlib import Path

import numpy as np
import openvino

from keras_cct.inference.metadata import ArtifactMetadata, foreign_artifact
from keras_cct.inference.predictor import check_images, predict_in_batches

MODEL_FILE = "model.xml"
"""File of the graph in an artifact folder; the weights are next to it in `model.bin`."""

METADATA_PATH = ["keras_cct", "metadata"]
"""Path of the metadata in the model's runtime information."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoPredictor:
    """Predicts with an OpenVINO model on the CPU.

    Args:
        path: Folder of the artifact, or its `model.xml`.
        compute_dtype: "float32", or "bfloat16", which is several times faster on CPUs with bfloat16 instructions and
            changes probabilities by about 1e-2.

    Raises:
        InputError: The artifact is corrupted, or was not written by keras_cct.
    """

    def __init__(self, path: Path, compute_dtype: str = "float32") -> None:
        core = openvino.Core()
        try:
            model = core.read_model(path / MODEL_FILE if path.is_dir() else path)
            text = model.get_rt_info(METADATA_PATH).astype(str)
        except RuntimeError as error:
            raise foreign_artifact(path) from error
        metadata = ArtifactMetadata.from_json(text, path)
        # OpenVINO computes in bfloat16 by default where the CPU supports it.
        self._compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": PRECISIONS[compute_dtype]})
        self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
        self._batch_size = metadata.batch_size

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return predict_in_batches(self._predict, check_images(images, self.image_shape), self._batch_size)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        return self._compiled(pixels)[0]
