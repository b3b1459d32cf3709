"""Writes OpenVINO models: a folder with the graph and the weights."""

import tempfile
from pathlib import Path

from keras_cct.export.conversion import Conversion, hiding_messages
from keras_cct.inference.metadata import INPUT_NAME, OUTPUT_NAME
from keras_cct.inference.openvino import METADATA_PATH, MODEL_FILE
from keras_cct.inference.telemetry import without_telemetry

with without_telemetry():
    import openvino


def write_openvino(conversion: Conversion, path: Path) -> None:
    """Writes `model.xml` and `model.bin`.

    In float16 the weights are stored in half precision. In int8 NNCF quantizes weights and activations, with its
    preset for transformers.

    Args:
        conversion: The model to convert and its settings.
        path: New folder.
    """
    model = _convert(conversion)
    metadata = conversion.metadata
    if metadata.dtype == "int8":
        model = _quantize(model, conversion)
    model.set_rt_info(metadata.to_json(), METADATA_PATH)
    path.mkdir()
    openvino.save_model(model, path / MODEL_FILE, compress_to_fp16=metadata.dtype == "float16")


def _convert(conversion: Conversion) -> openvino.Model:
    # OpenVINO 2026.4 reads SavedModels as well, but misses variables of some models with more than 150 of them.
    with tempfile.TemporaryDirectory() as folder:
        model = openvino.Core().read_model(conversion.write_frozen_graph(Path(folder)))
    for port, name in ((model.input(), INPUT_NAME), (model.output(), OUTPUT_NAME)):
        port.get_tensor().set_names({name})
    return model


def _quantize(model: openvino.Model, conversion: Conversion) -> openvino.Model:
    with without_telemetry():
        import nncf

    batches = list(conversion.calibration_batches())
    with hiding_messages():
        return nncf.quantize(
            model, nncf.Dataset(batches), subset_size=len(batches), model_type=nncf.ModelType.TRANSFORMER
        )
