"""Description of an exported artifact, stored in the metadata of its format."""

import dataclasses
import json
from collections.abc import Sequence
from os import PathLike
from typing import Any

from keras_cct.errors import InputError, check_class_names, check_count, check_setting, is_number
from keras_cct.files import reading

INPUT_NAME, OUTPUT_NAME = "images", "probabilities"
"""Names of the input and the output of every artifact."""

ENCODED_INPUT_NAME = "image_bytes"
"""Name of the input for PNG and JPEG files in a SavedModel. The ending `_bytes` marks base64 in the JSON of servers."""

PIXEL_RANGE = (0, 255)
MAX_METADATA_BYTES = 10**6
"""Largest size of the metadata, and of a list of class names."""

ADVICE = "Pass a run folder, a .keras file or an artifact written by `keras_cct export`."
EXPECTED = "a complete artifact written by keras_cct"


@dataclasses.dataclass(frozen=True)
class ArtifactMetadata:
    """Description of an exported artifact.

    Args:
        model: Name of the Keras model.
        image_shape: (height, width, channels) of the input images, with pixels in `PIXEL_RANGE`.
        class_names: Names of the classes in the order of the probabilities, or None if they are unknown.
        dtype: Precision of the weights, "float32", "float16" or "int8".
        batch_size: Number of images per call, or None if any number is allowed.
        recipe: YAML text of the training recipe, or None if it is unknown.
        temperature: Number by which the logits of the Keras model were divided, or None if they were not.
    """

    model: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None = None
    dtype: str = "float32"
    batch_size: int | None = None
    recipe: str | None = None
    temperature: float | None = None

    def to_json(self) -> str:
        """Returns the fields and the pixel range as one line of JSON."""
        return json.dumps({**dataclasses.asdict(self), "pixel_range": PIXEL_RANGE})

    @classmethod
    def from_json(cls, text: str | bytes, artifact: str | PathLike) -> "ArtifactMetadata":
        """Returns the metadata that `to_json` wrote; other keys are ignored.

        Args:
            text: The JSON object.
            artifact: Path of the artifact, for the error message.

        Raises:
            InputError: A field is missing or malformed, so keras_cct did not write the artifact.
        """
        with reading(artifact, EXPECTED, ADVICE):
            if len(text) > MAX_METADATA_BYTES:
                raise InputError(f"its metadata have more than {MAX_METADATA_BYTES:,} bytes. {ADVICE}")
            values = {"temperature": None} | json.loads(text)  # earlier versions had no temperature
            fields = {field.name: values[field.name] for field in dataclasses.fields(cls)}
            height, width, channels = (check_count("image_shape", size) for size in fields["image_shape"])
            names, batch_size, temperature = fields["class_names"], fields["batch_size"], fields["temperature"]
            for name in ("model", "dtype", "recipe"):
                check_setting(name, fields[name], isinstance(fields[name] or "", str), "text")
            check_setting("temperature", temperature, temperature is None or is_number(temperature), "a number")
            fields["image_shape"] = (height, width, channels)
            fields["class_names"] = None if names is None else check_class_names(names, len(names))
            fields["batch_size"] = None if batch_size is None else check_count("batch_size", batch_size)
            return cls(**fields)


def check_signature(
    artifact: str | PathLike, metadata: ArtifactMetadata, input_shape: Sequence[Any], output_shape: Sequence[Any]
) -> None:
    """Checks that the metadata describe the model beside them.

    Args:
        artifact: Path of the artifact, for the error message.
        metadata: The metadata.
        input_shape: Shape of the model's images; the batch size may be symbolic.
        output_shape: Shape of the model's probabilities; sizes that are not integers are unknown.

    Raises:
        InputError: The shape of the images, the batch size or the number of classes differ.
    """
    batch_size, *image_shape = input_shape
    if tuple(image_shape) != metadata.image_shape or metadata.batch_size not in (None, batch_size):
        expected = (metadata.batch_size, *metadata.image_shape)
        raise InputError(f"{str(artifact)!r} takes images of shape {tuple(input_shape)}, not {expected}. {ADVICE}")
    names, num_classes = metadata.class_names, output_shape[-1] if len(output_shape) == 2 else None
    if names is not None and isinstance(num_classes, int) and len(names) != num_classes:
        raise InputError(f"{str(artifact)!r} has {len(names)} class names for {num_classes} classes. {ADVICE}")
