"""The intermediate SavedModel that the ONNX, OpenVINO and LiteRT converters read."""

import contextlib
import dataclasses
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_cct.errors import InputError
from keras_cct.export.saved_model import probabilities_of
from keras_cct.inference.metadata import INPUT_NAME, OUTPUT_NAME, ArtifactMetadata

DEFAULT_SIGNATURE, FIXED_BATCH_SIGNATURE = "serving_default", "fixed_batch"

FACTORIZATIONS = {"Qr", "SelfAdjointEigV2"}
"""TensorFlow operations that no other format can express."""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Input of a converter.

    Args:
        saved_model: Folder of the intermediate SavedModel.
        metadata: Description of the artifact; its dtype is the precision to write.
        calibration: Float32 training images of shape (images, height, width, channels), for int8 quantization.
    """

    saved_model: Path
    metadata: ArtifactMetadata
    calibration: np.ndarray

    def calibration_batches(self) -> Iterator[np.ndarray]:
        """Yields the calibration images in batches of the artifact's batch size, or one by one."""
        size = self.metadata.batch_size or 1
        for start in range(0, len(self.calibration) - size + 1, size):
            yield self.calibration[start : start + size]

    def write_frozen_graph(self, folder: Path) -> Path:
        """Writes the graph of DEFAULT_SIGNATURE with its weights as constants to a folder, and returns its file."""
        loaded = tf.saved_model.load(str(self.saved_model))
        graph = convert_variables_to_constants_v2(loaded.signatures[DEFAULT_SIGNATURE]).graph
        return Path(tf.io.write_graph(graph.as_graph_def(), str(folder), "model.pb", as_text=False))


def write_conversion_source(model: keras.Model, path: Path, batch_size: int | None = None) -> None:
    """Writes the intermediate SavedModel. Requires Keras on TensorFlow.

    Both signatures map `images` (float32) to `probabilities`: DEFAULT_SIGNATURE takes `batch_size` images, or any
    number if it is None; FIXED_BATCH_SIGNATURE takes `batch_size` images, or one.

    Args:
        model: A model that returns logits.
        path: New folder.
        batch_size: Images per call, or None for any number.

    Raises:
        InputError: The model factorizes matrices, which the other formats cannot express.
    """

    def compute_probabilities(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT_NAME: probabilities_of(model, images)}

    signatures = {}
    for signature, size in ((DEFAULT_SIGNATURE, batch_size), (FIXED_BATCH_SIGNATURE, batch_size or 1)):
        spec = tf.TensorSpec((size, *model.input_shape[1:]), tf.float32, name=INPUT_NAME)
        signatures[signature] = tf.function(compute_probabilities, autograph=False).get_concrete_function(spec)
    if FACTORIZATIONS & {operation.type for operation in signatures[DEFAULT_SIGNATURE].graph.get_operations()}:
        raise InputError(
            f"model {model.name!r} factorizes matrices (attention on the Grassmann manifold), which is supported only "
            f"by savedmodel. Export it as savedmodel, or use attention_type 'softmax' or 'spd'."
        )
    tf.saved_model.save(_Variables(model), str(path), signatures=signatures)


class _Variables(tf.Module):
    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.variables_of_model = model.variables


@contextlib.contextmanager
def hiding_messages() -> Iterator[None]:
    """Hides the warnings, in any logger, and the progress bars of converters and quantizers."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
