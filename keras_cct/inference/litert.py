"""Predicts with a LiteRT (TensorFlow Lite) file written by `export_model`; needs only LiteRT and NumPy."""

import os
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_cct.archives import open_archive, read_member
from keras_cct.files import reading
from keras_cct.inference.metadata import ADVICE, EXPECTED, MAX_METADATA_BYTES, ArtifactMetadata, check_signature
from keras_cct.inference.predictor import check_images, predict_black_image, predict_in_batches

METADATA_FILE, LABELS_FILE = "metadata.json", "labels.txt"
"""Files in the ZIP archive at the end of every artifact, like the associated files of TensorFlow Lite metadata."""
MAX_MEMBERS = 16


class LiteRtPredictor:
    """Predicts with a LiteRT file on the CPU.

    Args:
        path: The file.

    Raises:
        InputError: The file is corrupted, or was not written by keras_cct.
    """

    def __init__(self, path: Path) -> None:
        with reading(path, EXPECTED, ADVICE):
            metadata = _read_metadata(path)
            self._interpreter = Interpreter(str(path), num_threads=os.cpu_count())
            self._interpreter.allocate_tensors()
            (images,), (probabilities,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
            check_signature(path, metadata, images["shape"].tolist(), probabilities["shape"].tolist())
            self._input, self._output = images["index"], probabilities["index"]
            self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
            self._batch_size = metadata.batch_size
            predict_black_image(self)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        images = check_images(images, self.image_shape)
        return predict_in_batches(self._predict, images, self._batch_size, self.class_names)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, pixels)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


def _read_metadata(path: Path) -> ArtifactMetadata:
    with path.open("rb") as content, open_archive(content, MAX_MEMBERS) as archive:
        return ArtifactMetadata.from_json(read_member(archive, METADATA_FILE, MAX_METADATA_BYTES), path)
