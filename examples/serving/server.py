"""Serves an exported model with KServe's ModelServer: REST v1, REST v2 and gRPC.

    python examples/serving/server.py openvino --model_name clothes --http_port 8080 --grpc_port 8081

The model is any artifact of `keras_cct export` whose runtime is installed. Each request takes encoded images
(`image_bytes`, PNG or JPEG files of any size, in JSON as base64) or pixels (`images`), as the SavedModel does.
"""

import argparse
import base64
import uuid
from typing import Any

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from kserve.errors import InvalidInput

import keras_cct
from keras_cct.inference.image_files import read_image


class ImageClassifier(kserve.Model):
    """A keras_cct predictor behind KServe's protocols.

    Args:
        name: Name of the model in URLs.
        path: Artifact that `keras_cct.load_predictor` opens.
    """

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.predictor = keras_cct.load_predictor(path)
        self.class_names = self.predictor.class_names
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        height, width, channels = self.predictor.image_shape
        return [
            {"name": "images", "datatype": "FP32", "shape": [-1, height, width, channels]},
            {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        count = -1 if self.class_names is None else len(self.class_names)
        return [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, count]},
            {"name": "class", "datatype": "BYTES", "shape": [-1]},
        ]

    def predict(self, payload: dict | InferRequest, headers: dict[str, str] | None = None) -> dict | InferResponse:
        """Predicts the images of a request.

        Raises:
            InvalidInput: The request has no images, or images of another shape or format; a client sees status 400.
        """
        try:
            if isinstance(payload, InferRequest):
                return self._predict_v2(payload)
            return self._predict_v1(payload)
        except ValueError as error:  # of NumPy, or InputError of keras_cct
            raise InvalidInput(str(error)) from error

    def _predict_v1(self, payload: dict) -> dict:
        """Each instance is `{"b64": ...}` or nested lists of pixels; each prediction maps class names to numbers."""
        instances = payload.get("instances") if isinstance(payload, dict) else None
        if not instances:
            raise InvalidInput('"instances" must be a list of at least one image.')
        probabilities = self.predictor.probabilities(np.stack([self._pixels(instance) for instance in instances]))
        return {
            "predictions": [dict(zip(self._names(len(row)), row.tolist(), strict=True)) for row in probabilities],
        }

    def _predict_v2(self, request: InferRequest) -> InferResponse:
        if len(request.inputs) != 1 or request.inputs[0].name not in ("images", "image_bytes"):
            raise InvalidInput("a request has one input, named images or image_bytes.")
        (tensor,) = request.inputs
        array = tensor.as_numpy()
        if tensor.name == "image_bytes":
            array = np.stack([self._decode(content) for content in array.ravel()])
        probabilities = self.predictor.probabilities(array)
        names = self._names(probabilities.shape[1])
        best = np.array([names[index].encode() for index in probabilities.argmax(axis=1)], dtype=object)
        outputs = [
            InferOutput("probabilities", list(probabilities.shape), "FP32"),
            InferOutput("class", [len(best)], "BYTES"),
        ]
        for output, data in zip(outputs, (probabilities, best), strict=True):
            output.set_data_from_numpy(data, binary_data=request.use_binary_outputs)
        return InferResponse(
            request.id or str(uuid.uuid4()),  # optional in requests, required in responses
            self.name,
            outputs,
            from_grpc=request.from_grpc,
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )

    def _pixels(self, instance: Any) -> np.ndarray:
        if isinstance(instance, dict) and isinstance(instance.get("b64"), str):
            return self._decode(instance["b64"])
        try:
            pixels = np.asarray(instance, "float32")
        except (TypeError, ValueError) as error:
            raise InvalidInput('an instance is {"b64": "..."} or nested lists of pixels.') from error
        if pixels.shape != self.predictor.image_shape:
            raise InvalidInput(f"an image has shape {pixels.shape}; the model takes {self.predictor.image_shape}.")
        return pixels

    def _decode(self, content: str | bytes) -> np.ndarray:
        """Returns the pixels of an encoded image, which is bytes in gRPC and base64 in JSON."""
        if not isinstance(content, bytes):
            try:
                content = base64.b64decode(content, validate=True)
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"an encoded image is not base64: {error}.") from error
        return read_image(content, self.predictor.image_shape)

    def _names(self, count: int) -> tuple[str, ...]:
        return self.class_names or tuple(str(index) for index in range(count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.add_argument("model", help="artifact of `keras_cct export`")
    options = parser.parse_args()
    kserve.ModelServer().start([ImageClassifier(options.model_name, options.model)])
