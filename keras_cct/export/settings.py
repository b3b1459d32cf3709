"""Export settings, and the packages that each format requires."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cct.errors import InputError, check_count, check_setting, is_number
from keras_cct.inference.artifacts import ARTIFACT_NAMES, FIRST_VERSION, FORMATS

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet

DTYPES = ("float32", "float16", "int8")
AUTO = "auto"
"""The temperature that is fitted on the evaluation images."""

_PACKAGES = {
    "savedmodel": (),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert",),
}
_INT8_PACKAGES = {"openvino": ("nncf",)}

_FILES_OF_FOLDERS = {
    "saved_model.pb": {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"},
    "model.xml": {"model.xml", "model.bin"},
}
"""Names in the folder of a SavedModel and of an OpenVINO model, by the file that every such folder has."""


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Settings of `export_model`.

    Args:
        formats: One or more of `FORMATS`.
        dtype: "float32"; "float16" stores the weights in half precision; "int8" quantizes weights and activations.
        batch_size: Number of images per call; None for any number, or 1 with LiteRT.
        class_names: Names of the classes; those saved with the model by default.
        data: Training and evaluation images; the bundled sample by default. Artifacts are verified on evaluation
            images. int8 also calibrates on training images and measures the accuracy on all evaluation images.
        max_drop: Maximum drop in top-1 accuracy with int8, in percentage points.
        overwrite: Whether to replace an existing artifact.
        temperature: Divides the logits, which calibrates the probabilities: a number in [0.01, 100], "auto" to fit it
            on the evaluation images, or None for 1.

    Raises:
        InputError: A value is unknown or out of range.
    """

    formats: tuple[str, ...] = ("savedmodel",)
    dtype: str = "float32"
    batch_size: int | None = None
    class_names: Sequence[str] | None = None
    data: "tuple[ImageSet, ImageSet] | None" = None
    max_drop: float = 1.0
    overwrite: bool = False
    temperature: float | str | None = None

    def __post_init__(self) -> None:
        for name in self.formats:
            check_setting("format", name, name in FORMATS, f"one of {', '.join(FORMATS)}")
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise InputError(
                f"format must be one or more different formats, got {list(self.formats)}. List each format once."
            )
        check_setting("dtype", self.dtype, self.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
        if self.dtype != "float32" and "savedmodel" in self.formats:
            raise InputError(f"dtype={self.dtype!r} is not supported by savedmodel. Use onnx, openvino or litert.")
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        if self.temperature is not None and self.temperature != AUTO:
            is_valid = is_number(self.temperature) and 0.01 <= self.temperature <= 100
            check_setting("temperature", self.temperature, is_valid, f"a number in [0.01, 100] or {AUTO!r}")
        check_setting(
            "max_drop", self.max_drop, is_number(self.max_drop) and self.max_drop >= 0, "a number of at least 0"
        )

    def batch_size_of(self, name: str) -> int | None:
        """Returns the number of images per call for a format, or None for any number."""
        return 1 if self.batch_size is None and name == "litert" else self.batch_size

    def check_packages(self) -> None:
        """Raises InputError if a package that a format requires is not installed."""
        for name in self.formats:
            packages = _PACKAGES[name] + (_INT8_PACKAGES.get(name, ()) if self.dtype == "int8" else ())
            for package in packages:
                if importlib.util.find_spec(package) is None:
                    raise InputError(
                        f"format {name!r} requires {package}, which is not installed. "
                        f"Run `pip install 'keras_cct[{name}]'`."
                    )

    def check_output(self, path: Path) -> None:
        """Raises InputError if the artifacts cannot be written to a path.

        With one format the path is the artifact; with several it is a folder with one artifact per format. `overwrite`
        replaces only artifacts.
        """
        ending = Path(ARTIFACT_NAMES[self.formats[0]]).suffix if len(self.formats) == 1 else ""
        if ending and path.suffix != ending:
            raise InputError(
                f"{str(path)!r} does not end in {ending}. Use a file name with this ending for {self.formats[0]}."
            )
        if not path.exists():
            return
        if not self.overwrite:
            raise InputError(
                f"{str(path)!r} exists already. Choose another path, or pass overwrite=True or --overwrite."
            )
        if not ending and not path.is_dir():
            raise InputError(
                f"{str(path)!r} is a file, but {', '.join(self.formats)} is written to a folder. Choose another path."
            )
        if path.is_dir() and not _contains_artifacts_only(path):
            raise InputError(
                f"{str(path)!r} contains files other than one artifact per format and is not overwritten. "
                f"Choose another path."
            )


def _contains_artifacts_only(folder: Path) -> bool:
    names = {file.name for file in folder.iterdir()}
    if any(model in names and names <= files for model, files in _FILES_OF_FOLDERS.items()):
        return True
    is_known = names <= set(ARTIFACT_NAMES.values()) or names == {FIRST_VERSION}
    return is_known and all(_contains_artifacts_only(path) for path in folder.iterdir() if path.is_dir())
