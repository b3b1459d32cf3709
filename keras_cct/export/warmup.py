"""Warm-up requests for TensorFlow Serving, which runs them when it loads a SavedModel."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
"""Path of the requests in a SavedModel."""


def write_warmup_requests(saved_model: Path, model_name: str, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Adds one request per signature to a SavedModel, so that the first request of a client is as fast as the others.

    Args:
        saved_model: Folder of the SavedModel.
        model_name: Name of the model in the requests.
        inputs: For each signature, its arguments by name.

    Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    file = saved_model / WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, arguments in inputs.items():
            writer.write(_encode_prediction_log(model_name, signature, arguments))


def _encode_prediction_log(model_name: str, signature: str, arguments: Mapping[str, np.ndarray]) -> bytes:
    """Returns a serialized `tensorflow.serving.PredictionLog` that contains a `PredictRequest`.

    The field numbers are those of TensorFlow Serving's apis/prediction_log.proto, predict.proto and model.proto.
    Encoding these four nested messages avoids a dependency on tensorflow-serving-api, which pins TensorFlow.
    """
    model_spec = _encode_field(1, model_name.encode()) + _encode_field(3, signature.encode())
    request = _encode_field(1, model_spec)
    for name, array in arguments.items():
        tensor = tf.make_tensor_proto(array).SerializeToString()
        request += _encode_field(2, _encode_field(1, name.encode()) + _encode_field(2, tensor))
    predict_log = _encode_field(1, request)
    return _encode_field(6, predict_log)


def _encode_field(number: int, content: bytes) -> bytes:
    """Returns a length-delimited field of a protocol buffer."""
    length_delimited = 2
    return _encode_varint(number << 3 | length_delimited) + _encode_varint(len(content)) + content


def _encode_varint(value: int) -> bytes:
    groups = bytearray()  # 7 bits each, the lowest first; all but the last have the highest bit set
    while value >= 128:
        groups.append(value % 128 + 128)
        value //= 128
    return bytes([*groups, value])
