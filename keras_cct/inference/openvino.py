"""Predicts with an OpenVINO model written by `export_model`; needs only OpenVINO and NumPy."""

import functools
from pathlib import Path

import numpy as np

from keras_cct.files import check_is_file, reading
from keras_cct.inference.metadata import ADVICE, EXPECTED, ArtifactMetadata, check_signature
from keras_cct.inference.predictor import check_images, predict_black_image, predict_in_batches
from keras_cct.inference.telemetry import without_telemetry

with without_telemetry():
    import openvino

MODEL_FILE = "model.xml"
"""File of the graph in an artifact folder; the weights are next to it in `model.bin`."""

METADATA_PATH = ["keras_cct", "metadata"]
"""Path of the metadata in the model's runtime information."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}

MAX_FIXED_SIZES = 2
"""Number of batch sizes for which a compiled model is kept, such as that of full batches and 1."""


class OpenVinoPredictor:
    """Predicts with an OpenVINO model on the CPU.

    A batch size that is used a second time gets a model that is compiled for it, which takes up to half a second and
    computes faster by a quarter or more than the model for any number of images.

    Args:
        path: Folder of the artifact, or its `model.xml`.
        compute_dtype: "float32", or "bfloat16", which is several times faster on CPUs with bfloat16 instructions and
            changes probabilities by about 1e-2.

    Raises:
        InputError: The artifact is corrupted, or was not written by keras_cct.
    """

    def __init__(self, path: Path, compute_dtype: str = "float32") -> None:
        graph = path / MODEL_FILE if path.is_dir() else path
        for file in (graph, graph.with_suffix(".bin")):
            if file.exists():
                check_is_file(file, ADVICE)
        with reading(path, EXPECTED, ADVICE):
            self._core = openvino.Core()
            self._model = self._core.read_model(graph)
            metadata = ArtifactMetadata.from_json(self._model.get_rt_info(METADATA_PATH).astype(str), path)
            shapes = (_sizes(port.partial_shape) for port in (self._model.input(), self._model.output()))
            check_signature(path, metadata, *shapes)
            # OpenVINO computes in bfloat16 by default where the CPU supports it.
            self._settings = {"INFERENCE_PRECISION_HINT": PRECISIONS[compute_dtype]}
            self._compiled = self._core.compile_model(self._model, "CPU", self._settings)
            self._compile_for = functools.lru_cache(MAX_FIXED_SIZES)(self._compile_for_size)
            self._seen_sizes: set[int] = set()
            self.image_shape, self.class_names = metadata.image_shape, metadata.class_names
            self._batch_size = metadata.batch_size
            predict_black_image(self)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        images = check_images(images, self.image_shape)
        return predict_in_batches(self._predict, images, self._batch_size, self.class_names)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        if len(pixels) in self._seen_sizes and self._batch_size is None:
            return self._compile_for(len(pixels))(pixels)[0]
        self._seen_sizes.add(len(pixels))
        return self._compiled(pixels)[0]

    def _compile_for_size(self, batch_size: int) -> openvino.CompiledModel:
        """Returns a model that is compiled for batches of one size."""
        model = self._model.clone()
        model.reshape([batch_size, *self.image_shape])
        return self._core.compile_model(model, "CPU", self._settings)


def _sizes(shape: openvino.PartialShape) -> list[int | None]:
    """Returns the sizes of a shape, None where a size is dynamic."""
    return [None if size.is_dynamic else size.get_length() for size in shape]
