"""Sizes and latencies of the models in a run folder."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_cct.errors import InputError
from keras_cct.export.verification import count_bytes, measure_latency
from keras_cct.inference.artifacts import artifact_format
from keras_cct.inference.predictors import open_artifact
from keras_cct.training.folder import RunFolder


@dataclasses.dataclass(frozen=True)
class ArtifactRow:
    """A model in a run folder.

    Args:
        name: Its path in the folder.
        format: "keras" or the format of an exported artifact.
        megabytes: Size in millions of bytes.
        latency: Median time of one image in milliseconds, or None if it could not be measured.
        problem: Why the latency could not be measured; empty otherwise.
    """

    name: str
    format: str
    megabytes: float
    latency: float | None
    problem: str = ""


def measure_artifacts(folder: RunFolder) -> list[ArtifactRow]:
    """Measures the best model of a run, and the exported artifacts in its folder and in the folders within it."""
    return [_measure(path, folder.path) for path in (folder.best_model, *_find_exports(folder))]


def _find_exports(folder: RunFolder) -> Iterator[Path]:
    for path in sorted(folder.path.iterdir()):
        if path in (folder.checkpoints, folder.events) or path.suffix == ".keras":
            continue
        if _is_artifact(path):
            yield path
        elif path.is_dir():
            yield from (inner for inner in sorted(path.iterdir()) if _is_artifact(inner))


def _is_artifact(path: Path) -> bool:
    try:
        artifact_format(path)
    except InputError:
        return False
    return True


def _measure(path: Path, folder: Path) -> ArtifactRow:
    name, form, megabytes = str(path.relative_to(folder)), artifact_format(path), count_bytes(path) / 1e6
    try:
        predictor = open_artifact(path)
        images = np.random.default_rng(0).integers(0, 256, (1, *predictor.image_shape), dtype="uint8")
        predictor.probabilities(images)  # the first call compiles
        return ArtifactRow(name, form, megabytes, 1e3 * measure_latency(predictor, images))
    except InputError as error:
        return ArtifactRow(name, form, megabytes, None, str(error))
