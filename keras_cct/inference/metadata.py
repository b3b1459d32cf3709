"""Description of an exported artifact, stored in the metadata of its format."""

import dataclasses
import json
from os import PathLike

from keras_cct.errors import InputError

INPUT_NAME, OUTPUT_NAME = "images", "probabilities"
"""Names of the input and the output of every artifact."""

PIXEL_RANGE = (0, 255)


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
        try:
            values = {"temperature": None} | json.loads(text)  # earlier versions had no temperature
            height, width, channels = (int(size) for size in values["image_shape"])
            values["image_shape"] = (height, width, channels)
            values["class_names"] = values["class_names"] and tuple(map(str, values["class_names"]))
            return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})
        except (KeyError, ValueError, TypeError) as error:
            raise foreign_artifact(artifact) from error


def foreign_artifact(path: str | PathLike) -> InputError:
    """Returns the error for a file or folder that is corrupted or was not written by keras_cct."""
    return InputError(
        f"{str(path)!r} is not a complete artifact written by keras_cct. "
        f"Pass a run folder, a .keras file or an artifact written by `keras_cct export`."
    )
