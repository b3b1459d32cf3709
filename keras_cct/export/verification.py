"""Compares an artifact with Keras: probabilities, accuracy and latency."""

import dataclasses
import statistics
import time
from pathlib import Path

import numpy as np

from keras_cct.errors import InputError, VerificationError
from keras_cct.inference.predictor import Predictor, finite_probabilities

TOLERANCES = {"float32": 1e-4, "float16": 5e-3}
"""Maximum difference in a probability between an artifact and Keras, by dtype. int8 is checked by its accuracy."""

LATENCY_ROUNDS = 10


class Baseline:
    """Probabilities and latency of Keras on a set of images.

    Args:
        predictor: The Keras model.
        images: uint8 array of shape (images, height, width, channels).
        batch_size: Number of images per call for the latency.

    Raises:
        InputError: The model predicts NaN or infinity.
    """

    def __init__(self, predictor: Predictor, images: np.ndarray, batch_size: int = 1) -> None:
        self.images = images
        self.probabilities = finite_probabilities(predictor, images)
        self.latency_images = images[:batch_size]
        self.latency = measure_latency(predictor, self.latency_images)


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """Size of an exported artifact, and its comparison with Keras.

    Args:
        format: Format of the artifact.
        path: The artifact.
        num_bytes: Size of the artifact.
        largest_difference: Largest difference in a probability.
        agreement: Percentage of images with the same most probable class.
        num_images: Number of images that were compared.
        latency: Seconds per call.
        keras_latency: Seconds per call in Keras.
        top1: Accuracy on the evaluation images in percent; measured only with int8.
        keras_top1: Accuracy of Keras on the same images.
    """

    format: str
    path: Path
    num_bytes: int
    largest_difference: float
    agreement: float
    num_images: int
    latency: float
    keras_latency: float
    top1: float | None = None
    keras_top1: float | None = None

    def __str__(self) -> str:
        parts = [
            f"{self.path}: {self.num_bytes / 1e6:.1f} MB",
            f"largest difference {self.largest_difference:.1e}",
            f"top-1 agreement {self.agreement:.1f} % of {self.num_images} images",
            f"latency {1e3 * self.latency:.2f} ms (Keras {1e3 * self.keras_latency:.2f} ms)",
        ]
        if self.top1 is not None and self.keras_top1 is not None:
            parts.append(f"top-1 accuracy {self.top1:.2f} % (Keras {self.keras_top1:.2f} %)")
        return ", ".join(parts)


def compare(predictor: Predictor, baseline: Baseline, format: str, path: Path, dtype: str) -> ExportReport:  # noqa: A002
    """Compares an artifact with Keras.

    Args:
        predictor: The artifact.
        baseline: Images, and the probabilities and latency of Keras on them.
        format: Format of the artifact.
        path: The artifact.
        dtype: Precision of the artifact.

    Raises:
        InputError: The artifact predicts NaN or infinity.
        VerificationError: A probability differs from Keras by more than the tolerance of the dtype.
    """
    probabilities = finite_probabilities(predictor, baseline.images)
    difference = float(np.abs(probabilities - baseline.probabilities).max())
    if difference > TOLERANCES.get(dtype, 1.0):
        raise VerificationError(
            f"the {format} artifact differs from Keras by {difference:.2g}, more than {TOLERANCES[dtype]:g}; nothing "
            f"was written. Please report this bug."
        )
    agreement = np.mean(probabilities.argmax(axis=1) == baseline.probabilities.argmax(axis=1))
    return ExportReport(
        format=format,
        path=path,
        num_bytes=count_bytes(path),
        largest_difference=difference,
        agreement=100 * float(agreement),
        num_images=len(probabilities),
        latency=measure_latency(predictor, baseline.latency_images),
        keras_latency=baseline.latency,
    )


def check_accuracy_drop(format: str, top1: float, keras_top1: float, max_drop: float) -> None:  # noqa: A002
    """Rejects an artifact that is much less accurate than Keras.

    Raises:
        InputError: The accuracy is lower by more than `max_drop` percentage points.
    """
    if keras_top1 - top1 > max_drop:
        raise InputError(
            f"int8 reduces the top-1 accuracy of {format} from {keras_top1:.2f} % to {top1:.2f} %, by more than "
            f"max_drop={max_drop:g} percentage points; nothing was written. Use float16, other calibration images "
            f"or a larger max_drop."
        )


def measure_latency(predictor: Predictor, images: np.ndarray) -> float:
    """Returns the median time of a call in seconds."""
    times = []
    for _ in range(LATENCY_ROUNDS):
        start = time.perf_counter()
        predictor.probabilities(images)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def count_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
