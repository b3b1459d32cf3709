"""Writes ONNX files for ONNX Runtime, with tf2onnx."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import tf2onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from keras_cct.export.conversion import DEFAULT_SIGNATURE, Conversion, hiding_messages
from keras_cct.inference.metadata import INPUT_NAME, OUTPUT_NAME
from keras_cct.inference.onnx import METADATA_KEY

OPSET = 18

QUANTIZED_OPERATORS = ["Conv", "MatMul"]
"""Operators computed in int8. Quantizing the others as well makes the model slower and less accurate."""

MIN_HALVED_SIZE = 16
"""Smaller constants, such as shapes and epsilons, are not stored in float16."""


def write_onnx(conversion: Conversion, path: Path) -> None:
    """Writes an ONNX file.

    In float16 the weights are stored in half precision and the computation stays in float32. In int8 the convolutions
    and matrix products compute in int8, with one scale per channel of their weights.

    Args:
        conversion: The model to convert and its settings.
        path: New file.
    """
    model = _convert(conversion)
    metadata = conversion.metadata
    if metadata.dtype == "float16":
        _store_weights_in_float16(model.graph)
    if metadata.dtype == "int8":
        model = _quantize(model, conversion, path)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _convert(conversion: Conversion) -> onnx.ModelProto:
    with hiding_messages():
        graph, inputs, outputs = tf2onnx.tf_loader.from_saved_model(
            str(conversion.saved_model), None, None, signatures=[DEFAULT_SIGNATURE]
        )
        model, _ = tf2onnx.convert.from_graph_def(
            graph,
            name=conversion.metadata.model,
            input_names=inputs,
            output_names=outputs,
            opset=OPSET,
            tensors_to_rename={inputs[0]: INPUT_NAME, outputs[0]: OUTPUT_NAME},
        )
    for value in (*model.graph.input, *model.graph.output):
        size = value.type.tensor_type.shape.dim[0]
        if not size.dim_value:
            size.dim_param = "batch"
    return model


def _store_weights_in_float16(graph: onnx.GraphProto) -> None:
    """Replaces every float32 constant by a float16 constant and a cast, which runtimes compute once when loading."""
    casts = []
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < MIN_HALVED_SIZE:
            continue
        name = f"{tensor.name}/float16"
        casts.append(onnx.helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype("float16"), name))
    for index, cast in enumerate(casts):
        graph.node.insert(index, cast)


class _ImageReader(CalibrationDataReader):
    """Feeds calibration images to ONNX Runtime's quantizer."""

    def __init__(self, batches: Iterator[np.ndarray]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride] # typed dict
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


def _quantize(model: onnx.ModelProto, conversion: Conversion, path: Path) -> onnx.ModelProto:
    with hiding_messages():
        quantize_static(
            model,
            str(path),
            _ImageReader(conversion.calibration_batches()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED_OPERATORS,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # 8-bit weights overflow on CPUs without VNNI instructions
        )
    return onnx.load(path)
