"""Exports a model to one or more formats, each verified against Keras in its own runtime."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import keras
import numpy as np

from keras_cct.data.sample import load_sample
from keras_cct.errors import InputError, check_class_names, check_instance, check_path
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.export.conversion import Conversion, write_conversion_source
from keras_cct.export.images import select_images
from keras_cct.export.saved_model import verify_signatures, write_saved_model
from keras_cct.export.settings import ExportSettings
from keras_cct.export.temperature import divided_logits, resolve_temperature
from keras_cct.export.tensorflow_process import call_on_tensorflow
from keras_cct.export.verification import Baseline, ExportReport, check_accuracy_drop, compare
from keras_cct.files import replacing
from keras_cct.inference.artifacts import ARTIFACT_NAMES, RECIPE, find_keras_file, find_run, saved_model_folder
from keras_cct.inference.keras_model import KerasPredictor, check_serves_pixels, compute_in_float32
from keras_cct.inference.metadata import ArtifactMetadata
from keras_cct.inference.predictors import open_artifact
from keras_cct.inference.saved_model import SavedModelPredictor
from keras_cct.recipe.strict_yaml import read_yaml_file
from keras_cct.weights.formats import read_keras_file

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet

NUM_COMPARED, NUM_CALIBRATION = 64, 256
"""Number of evaluation images for verification, and of training images for int8 calibration."""


class ExportFields(TypedDict, total=False):
    """Fields of `ExportSettings` that `export_model` accepts beyond its named arguments."""

    dtype: str
    batch_size: int | None
    class_names: Sequence[str] | None
    data: "tuple[ImageSet, ImageSet] | None"
    max_drop: float
    overwrite: bool
    temperature: float | str | None


def export_model(
    model: keras.Model | str | PathLike,
    path: str | PathLike,
    format: str | Sequence[str] = "savedmodel",  # noqa: A002 # the name in `keras.Model.export`
    *,
    trust: bool = False,
    **settings: Unpack[ExportFields],
) -> list[ExportReport]:
    """Writes artifacts that predict without Keras, and verifies each against the model in its own runtime.

    Every artifact takes `images`, float32 pixels in [0, 255], and returns `probabilities`. Nothing is written if a
    format fails. Models in mixed precision are exported in float32. Under JAX and PyTorch, a subprocess with Keras on
    TensorFlow traces the model.

    Args:
        model: A model of this package with its normalization and its head, a run folder, a `.keras` file or
            `hf://user/name`.
        path: The new artifact: a folder for "savedmodel" and "openvino", a file for "onnx" (`.onnx`) and "litert"
            (`.tflite`). With several formats, a folder that contains one artifact per format. A SavedModel is written
            to `path/1`, the layout of TensorFlow Serving; to add another version, use its path, such as `served/2`.
        format: One or more of "savedmodel", "onnx", "openvino" and "litert".
        trust: Whether a `.keras` file may contain other layers than those of this package, and so run any code.
        **settings: Fields of `ExportSettings`: `dtype`, `batch_size`, `class_names`, `data`, `max_drop`, `overwrite`,
            `temperature`.

    Returns:
        One report per format: size, difference from Keras, agreement and latency.

    Raises:
        InputError: An argument is invalid, the output exists, a package is missing, the model cannot be expressed in a
            format, or int8 reduces the accuracy by more than `max_drop`.
        VerificationError: The probabilities of an artifact differ from those of the model.

    Example:
        >>> export_model(model, "model.onnx", "onnx", dtype="float16")
    """
    check_path("path", path)
    check_instance("format", format, (str, list, tuple), "a format or a list of formats")
    path = Path(path)
    chosen = ExportSettings(formats=(format,) if isinstance(format, str) else tuple(format), **settings)
    chosen.check_output(path)
    chosen.check_packages()
    recipe = None
    if not isinstance(model, keras.Model):
        check_path("model", model)
        file = find_keras_file(model)
        recipe = _read_recipe(file)
        model = read_keras_file(file, trust=trust)
    head, model = check_serves_pixels(model), compute_in_float32(model)
    names = chosen.class_names
    metadata = ArtifactMetadata(
        model=model.name,
        image_shape=tuple(model.input_shape[1:]),
        class_names=head.class_names if names is None else check_class_names(names, head.num_classes),
        dtype=chosen.dtype,
        recipe=recipe,
        temperature=resolve_temperature(model, chosen),
    )
    with divided_logits(model, metadata.temperature), _replacing_artifact(path) as temporary:
        return _Export(model, metadata, chosen).write(temporary, path)


def _read_recipe(model_file: Path) -> str | None:
    run = find_run(model_file)
    if run is None:
        return None
    recipe = run / RECIPE
    read_yaml_file(recipe)  # checks its size and encoding
    return recipe.read_text(encoding="utf-8")


@contextlib.contextmanager
def _replacing_artifact(path: Path) -> Iterator[Path]:
    """Yields a temporary path that replaces `path`, which may be an existing artifact, if the block succeeds."""
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            old = stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
        except OSError as error:
            raise InputError(f"cannot write {str(path)!r}: {error.strerror}. Choose another path.") from error
        with replacing(path) as temporary:
            yield temporary
            if path.is_dir():
                path.rename(Path(old, "artifact"))


class _Export:
    """One call of `export_model`, with the images and results that its formats share."""

    def __init__(self, model: keras.Model, metadata: ArtifactMetadata, settings: ExportSettings) -> None:
        self.model, self.metadata, self.settings = model, metadata, settings
        self.is_int8 = settings.dtype == "int8"
        if self.is_int8 and settings.data is None and metadata.class_names != load_sample("test").class_names:
            raise InputError(
                "dtype='int8' requires training and evaluation images of the model's classes. Pass `data` or `--data`."
            )
        train, self.evaluation = settings.data or (load_sample("train"), load_sample("test"))
        batch_size = settings.batch_size or 1
        keras_predictor = KerasPredictor(model)
        images = select_images(self.evaluation, metadata.image_shape, NUM_COMPARED)
        self.baseline = Baseline(keras_predictor, images, batch_size)
        self.calibration = np.zeros((0, *metadata.image_shape), "float32")
        if self.is_int8:
            self.keras_top1 = evaluate(keras_predictor, self.evaluation).top1
            count = max(NUM_CALIBRATION, batch_size)
            self.calibration = select_images(train, metadata.image_shape, count).astype("float32")
            if len(self.calibration) < batch_size:
                raise InputError(
                    f"calibration requires at least batch_size={batch_size} images, got {len(self.calibration)}. "
                    f"Use a smaller batch size or more images."
                )

    def write(self, temporary: Path, path: Path) -> list[ExportReport]:
        """Writes and verifies all formats.

        Args:
            temporary: Where to write.
            path: The final path, for the reports.
        """
        formats = self.settings.formats
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "conversion_source")
            if set(formats) - {"savedmodel"}:
                batch_size = self.settings.batch_size
                call_on_tensorflow(write_conversion_source, self.model, source, batch_size=batch_size)
            if len(formats) == 1:
                return [self._write_format(formats[0], source, temporary, path)]
            temporary.mkdir()
            names = {name: ARTIFACT_NAMES[name] for name in formats}
            return [self._write_format(name, source, temporary / file, path / file) for name, file in names.items()]

    def _write_format(self, name: str, source: Path, temporary: Path, path: Path) -> ExportReport:
        metadata = dataclasses.replace(self.metadata, batch_size=self.settings.batch_size_of(name))
        if name == "savedmodel":
            version = saved_model_folder(path).relative_to(path)
            temporary, path = temporary / version, path / version
            call_on_tensorflow(write_saved_model, self.model, temporary, metadata=metadata.to_json())
        else:
            _find_writer(name)(Conversion(source, metadata, self.calibration), temporary)
        predictor = open_artifact(temporary)
        if isinstance(predictor, SavedModelPredictor):
            verify_signatures(predictor, self.baseline.images, self.baseline.probabilities)
        report = compare(predictor, self.baseline, name, temporary, metadata.dtype)
        if self.is_int8:
            top1 = evaluate(predictor, self.evaluation).top1
            check_accuracy_drop(name, top1, self.keras_top1, self.settings.max_drop)
            report = dataclasses.replace(report, top1=top1, keras_top1=self.keras_top1)
        return dataclasses.replace(report, path=path)


def _find_writer(name: str) -> Callable[[Conversion, Path], None]:
    if name == "onnx":
        from keras_cct.export.onnx import write_onnx

        return write_onnx
    if name == "openvino":
        from keras_cct.export.openvino import write_openvino

        return write_openvino
    from keras_cct.export.litert import write_litert

    return write_litert
