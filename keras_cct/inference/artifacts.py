"""Locates the artifact at a path and detects its format."""

import os
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.files import check_is_file
from keras_cct.weights.hub import local_model

RECIPE, BEST_MODEL, SAVED_MODEL, SPLIT = "recipe.yml", "best.keras", "saved_model", "split.csv"
"""Files and folders of a run folder."""

KERAS = "keras"
FORMATS = ("savedmodel", "onnx", "openvino", "litert")
"""Formats of exported artifacts. Each is named after the runtime that loads it."""

ARTIFACT_NAMES = {"savedmodel": SAVED_MODEL, "onnx": "model.onnx", "openvino": "openvino", "litert": "model.tflite"}
"""Name of each artifact in a folder with several formats. ONNX and LiteRT artifacts are files, others folders."""

FIRST_VERSION = "1"

_FILE_ENDINGS = {".keras": KERAS, ".onnx": "onnx", ".xml": "openvino", ".tflite": "litert"}
_PROGRAM = "saved_model.pb"
_FOLDER_CONTENTS = {_PROGRAM: "savedmodel", "model.xml": "openvino"}


def find_artifact(path: str | PathLike) -> Path:
    """Returns the path of the model at a path.

    It is the SavedModel of a run folder, or its best model if the run has none yet; the latest version of a SavedModel
    in TensorFlow Serving's layout, `NAME/VERSION`; the downloaded file of a model on the hub, `hf://user/name`; and any
    other path unchanged.

    Raises:
        InputError: The run folder has no model yet, or the model on the hub cannot be downloaded.
    """
    return _find_latest_version(_find_in_run(Path(local_model(path)), (SAVED_MODEL, BEST_MODEL)))


def find_run(path: str | PathLike) -> Path | None:
    """Returns the run folder at a path, or the one that contains the model at the path; None if there is none.

    A checkpoint or an exported artifact may be in a folder of the run, `RUN/deploy/saved_model/1` for example.
    """
    for distance, folder in enumerate((Path(path), *Path(path).parents[:3])):
        # Further up, a recipe alone may be the one that `keras_cct init` wrote for another run.
        if (folder / RECIPE).is_file() and (distance < 2 or (folder / BEST_MODEL).is_file()):
            return folder
    return None


def saved_split(run: Path) -> Path | None:
    """Returns the file with the split of a run's folder of images; None if the run has none."""
    return run / SPLIT if (run / SPLIT).is_file() else None


def find_keras_file(path: str | PathLike) -> Path:
    """Returns the best model of a run folder, or the downloaded file of a model on the hub; any other path unchanged.

    Raises:
        InputError: As for `find_artifact`.
    """
    return _find_in_run(Path(local_model(path)), (BEST_MODEL,))


def saved_model_folder(path: Path) -> Path:
    """Returns where `keras_cct export` writes a SavedModel: `path/1`, or `path` if its name is a version number."""
    return path if is_version(path.name) else path / FIRST_VERSION


def is_version(name: str) -> bool:
    """Returns whether TensorFlow Serving reads a folder name as the version of a model."""
    return name.isascii() and name.isdigit()


def _find_latest_version(path: Path) -> Path:
    if not os.path.isdir(path) or (path / _PROGRAM).is_file():  # noqa: PTH112 # `Path.is_dir` fails on long names
        return path
    versions = [folder for folder in path.iterdir() if is_version(folder.name) and (folder / _PROGRAM).is_file()]
    return max(versions, key=lambda folder: int(folder.name), default=path)


def _find_in_run(path: Path, names: tuple[str, ...]) -> Path:
    if not os.path.isfile(path / RECIPE):  # noqa: PTH113 # `Path.is_file` fails on names that are too long
        return path
    for name in names:
        if (path / name).exists():
            return path / name
    raise InputError(f"the run {str(path)!r} has no model yet. Train it with `keras_cct train --resume {path}`.")


def artifact_format(path: Path) -> str:
    """Returns the format of an artifact: "keras" for a `.keras` file, or one of `FORMATS`.

    Raises:
        InputError: The path does not exist, or its format is unknown.
    """
    expected = "Pass a run folder, a .keras file or an artifact written by `keras_cct export`."
    if not os.path.exists(path):  # noqa: PTH110 # as above
        raise InputError(f"no model at {str(path)!r}. {expected}")
    if path.is_dir():
        path = _find_latest_version(path)
        found = [name for file, name in _FOLDER_CONTENTS.items() if (path / file).is_file()]
    else:
        found = [name for ending, name in _FILE_ENDINGS.items() if path.name.endswith(ending)]
    if not found:
        raise InputError(f"{str(path)!r} is neither a .keras file nor an exported artifact. {expected}")
    if not path.is_dir():
        check_is_file(path, expected)
    return found[0]
