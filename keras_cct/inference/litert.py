"""Predicts with a LiteRT (TensorFlow Lite) file written by `export_model`; needs only LiteRT and NumPy."""

import os
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_cct.inference.metadata import ArtifactMetadata, foreign_artifact
from keras_cct.inference.predictor import check_images, predict_in_batches

METADATA_FILE, LABELS_FILE = "metadata.json", "labels.txt"
"""Files in the ZIP archive at the end of every artifact, like the associated files of TensorFlow Lite metadata."""


class LiteRtPredictor:
    """Predicts with a LiteRT file on the CPU.

    Args:
        path: The file.

    Raises:
        InputError: The file is corrupted, or was not written by keras_cct.
    """

    def __init__(self, path: Path) -> None:
        metadata = _read_metadata(path)
        try:
            self._interpreter = Interpreter(str(path), num_threads=os.cpu_count())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise foreign_artifact(path) from error
        (self._input,) = (details["index"] for details in self._interpreter.get_input_details())
        (self._output,) = (details["index"] for details in self._interpreter.get_output_details())
        self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
        self._batch_size = metadata.batch_size

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        return predict_in_batches(self._predict, check_images(images, self.image_shape), self._batch_size)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


def _read_metadata(path: Path) -> ArtifactMetadata:
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(METADATA_FILE)
    except (zipfile.BadZipFile, KeyError) as error:
        raise foreign_artifact(path) from error
    return ArtifactMetadata.from_json(text, path)
