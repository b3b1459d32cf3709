"""Evaluates a model on labeled images: accuracy, metrics per class, calibration and mistakes."""

import dataclasses
import functools
import heapq
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_cct.errors import InputError, check_count, check_instance, check_setting
from keras_cct.evaluation.calibration import (
    Reliability,
    apply_temperature,
    fit_temperature,
    measure_reliability,
)
from keras_cct.evaluation.class_matching import are_indices, check_num_classes, match_classes
from keras_cct.evaluation.metrics import ClassMetrics, class_metrics, confusion_counts, cross_entropy, label_ranks
from keras_cct.evaluation.views import TTA, loaded_sides, view_functions
from keras_cct.inference.predictor import Predictor, finite_probabilities
from keras_cct.inference.predictors import as_predictor

if TYPE_CHECKING:
    import keras

    from keras_cct.data.images import ImageSet

log = logging.getLogger(__name__)

MAX_MISTAKES = 24


@dataclasses.dataclass(frozen=True, eq=False)
class Mistake:
    """An image whose most probable class is not its label.

    Args:
        index: Position of the image in the dataset.
        pixels: The image as the model sees it, uint8 of shape (height, width, channels).
        label: Index of the label.
        prediction: Index of the most probable class.
        confidence: Probability of the most probable class.
    """

    index: int
    pixels: np.ndarray
    label: int
    prediction: int
    confidence: float


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions of a model on labeled images, and everything that is computed from them. Percentages are in [0, 100].

    Args:
        class_names: Names of the model's classes.
        labels: Index of the label of each image, int64 of shape (images,).
        probabilities: Float32 array of shape (images, classes).
        mistakes: The most confident mistakes, in descending order of confidence.
        images_per_second: Speed of the model, without loading images; the first batch is not counted if there are more.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    mistakes: tuple[Mistake, ...]
    images_per_second: float

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def predictions(self) -> np.ndarray:
        """Index of the most probable class of each image, int64 of shape (images,)."""
        return self.probabilities.argmax(axis=1)

    @functools.cached_property
    def _ranks(self) -> np.ndarray:
        return label_ranks(self.labels, self.probabilities)

    @property
    def top1(self) -> float:
        """Percentage of images whose label is the most probable class."""
        return 100 * float(np.mean(self._ranks < 1))

    @property
    def top5(self) -> float:
        """Percentage of images whose label is among the five most probable classes."""
        return 100 * float(np.mean(self._ranks < 5))

    @functools.cached_property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return cross_entropy(self.labels, self.probabilities)

    @functools.cached_property
    def per_class(self) -> ClassMetrics:
        """Precision, recall, F1 and support of each class, fractions in [0, 1]."""
        return class_metrics(self.labels, self.predictions, len(self.class_names))

    @property
    def macro_f1(self) -> float:
        """Mean F1 in percent of the classes that occur among the labels or the predictions."""
        return 100 * self.per_class.macro_f1

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """Number of images per label (rows) and prediction (columns), shape (classes, classes)."""
        return confusion_counts(self.labels, self.predictions, len(self.class_names))

    @functools.cached_property
    def reliability(self) -> Reliability:
        """Accuracy in bins of confidence."""
        return measure_reliability(self.labels, self.probabilities)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (ECE) in percentage points."""
        return 100 * self.reliability.expected_error

    @functools.cached_property
    def temperature(self) -> float:
        """The temperature by which logits must be divided to minimize the loss on these images."""
        return fit_temperature(self.labels, self.probabilities)

    @functools.cached_property
    def calibrated_error(self) -> float:
        """Expected calibration error in percentage points after division of the logits by `temperature`."""
        calibrated = apply_temperature(self.probabilities, self.temperature)
        return 100 * measure_reliability(self.labels, calibrated).expected_error

    def metrics(self) -> dict[str, float]:
        """Returns all numbers that describe the model as a whole, by name."""
        names = ("top1", "top5", "loss", "macro_f1", "calibration_error", "temperature", "calibrated_error")
        numbers = {name: getattr(self, name) for name in (*names, "images_per_second")}
        return {"num_images": len(self), "num_classes": len(self.class_names), **numbers}


def evaluate(  # noqa: PLR0913 # the settings of one evaluation, all by name
    model: "Predictor | keras.Model",
    data: "ImageSet",
    *,
    batch_size: int = 128,
    crop_pct: float = 1.0,
    interpolation: str = "bicubic",
    label_map: Mapping[str, str] | None = None,
    tta: str | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> Evaluation:
    """Predicts labeled images and compares the predictions with the labels.

    Labels are matched to the model's classes by name. If either the model or the dataset has no names (only the indices
    "0", "1", ...), or if they have no name in common, labels are matched by index. Data without images of some of the
    model's classes is evaluated on the others.

    Args:
        model: A predictor from `load_predictor`, or a Keras model.
        data: Images of any size with the model's channels, or RGB images for a grayscale model.
        batch_size: Images per batch.
        crop_pct: Fraction of the resized image's short side in the crop, above 0 and at most 1. With five-crop it must
            be below 1.
        interpolation: Interpolation for resizing, "bilinear" or "bicubic".
        label_map: The model's class for each class of the dataset, by name; see `match_classes`.
        tta: Test-time augmentation, which averages the probabilities of views of an image: "hflip" for the image and
            its mirror image, "five-crop" for its center and its four corners, or None.
        on_batch: Function to call after each batch with the number of its images.

    Raises:
        InputError: There are no images, their channels or classes differ from the model's, there is only one class, or
            the model predicts NaN or infinity.
    """
    from keras_cct.data.decode import ResizeAndCrop
    from keras_cct.data.images import EncodedImages, LabeledImages, RecordImages
    from keras_cct.data.unreadable import raising_input_errors

    predictor = as_predictor(model)
    check_instance("data", data, (LabeledImages, EncodedImages, RecordImages), "one split of `open_data`")
    check_count("batch_size", batch_size)
    if len(data) == 0:
        raise InputError("the dataset has no images. Provide at least one.")
    if tta is not None:
        check_setting("tta", tta, tta in TTA, f"one of {', '.join(TTA)}")
    height, width, channels = predictor.image_shape
    _check_channels(channels, data.image_shape[-1])
    class_indices = match_classes(predictor.class_names, data.class_names, label_map)
    class_names = _choose_names(predictor.class_names, data.class_names)
    loaded, loaded_crop_pct = loaded_sides(tta, (height, width), crop_pct)
    views = view_functions(tta, loaded, (height, width))
    recorder = _Recorder()
    with raising_input_errors(data):
        resize = ResizeAndCrop(*loaded, loaded_crop_pct, interpolation)
        for images, labels in _read_batches(data, resize, batch_size, channels):
            start = time.perf_counter()
            shown, *others = (view(images) for view in views)
            probabilities = finite_probabilities(predictor, shown)
            if others:
                predictions = [probabilities, *(finite_probabilities(predictor, view) for view in others)]
                probabilities = np.mean(predictions, axis=0, dtype="float32")
            seconds = time.perf_counter() - start
            check_num_classes(probabilities.shape[1], len(class_names))
            recorder.add(shown, class_indices[labels], probabilities, seconds)
            if on_batch is not None:
                on_batch(len(images))
    return recorder.finish(class_names)


def _check_channels(model_channels: int, data_channels: int) -> None:
    if data_channels != model_channels and (model_channels, data_channels) != (1, 3):
        raise InputError(
            f"the model takes images of {model_channels} channels, but the dataset has {data_channels}. "
            f"Use another model or dataset."
        )


def _read_batches(
    data: "ImageSet", resize: object, batch_size: int, channels: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from keras_cct.data.decode import luma
    from keras_cct.data.pipeline import decoded_images

    converts_to_gray = channels == 1 and data.image_shape[-1] == 3
    batches = decoded_images(data, resize).batch(batch_size).prefetch(1)  # pyright: ignore[reportArgumentType]
    for images, labels in batches.as_numpy_iterator():
        yield luma(images).numpy() if converts_to_gray else images, labels


def _choose_names(model_names: tuple[str, ...] | None, data_names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of the model's classes, or those of the dataset if the model has only indices."""
    has_indices_only = model_names is None or (are_indices(model_names) and len(model_names) == len(data_names))
    names = data_names if has_indices_only or model_names is None else model_names
    if len(names) < 2:
        raise InputError(
            f"the only class is {''.join(names)!r}, which the model always predicts. Use a model and a dataset "
            f"with at least two classes."
        )
    return names


class _Recorder:
    """Collects the predictions of all batches, and the most confident mistakes."""

    def __init__(self) -> None:
        self._labels, self._probabilities = [], []
        self._times: list[tuple[int, float]] = []
        self._mistakes: list[Mistake] = []
        self._num_images = 0

    def add(self, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, seconds: float) -> None:
        predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        for row in np.flatnonzero(predictions != labels):
            index = self._num_images + int(row)
            numbers = int(labels[row]), int(predictions[row]), float(confidence[row])
            self._mistakes.append(Mistake(index, images[row].copy(), *numbers))
        self._mistakes = heapq.nlargest(MAX_MISTAKES, self._mistakes, key=lambda mistake: mistake.confidence)
        self._num_images += len(images)
        self._labels.append(labels)
        self._probabilities.append(probabilities)
        self._times.append((len(images), seconds))

    def finish(self, class_names: tuple[str, ...]) -> Evaluation:
        labels = np.concatenate(self._labels)
        if len(np.unique(labels)) == 1:
            name = class_names[labels[0]]
            log.warning("all %d images have the label %r; add images of other classes", len(labels), name)
        timed = self._times[1:] or self._times
        speed = sum(count for count, _ in timed) / sum(seconds for _, seconds in timed)
        return Evaluation(class_names, labels, np.concatenate(self._probabilities), tuple(self._mistakes), speed)
