"""Folds a temperature into the head of a model, so that every exported format returns calibrated probabilities."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from keras_cct.data.sample import load_sample
from keras_cct.errors import InputError
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.export.settings import AUTO, ExportSettings
from keras_cct.inference.keras_model import KerasPredictor, check_serves_pixels


def resolve_temperature(model: keras.Model, settings: ExportSettings) -> float | None:
    """Returns the temperature of an export; "auto" is fitted on the evaluation images.

    Args:
        model: The model.
        settings: The temperature and the images. Without images, a model with the classes of the bundled sample uses
            those.

    Raises:
        InputError: "auto" has no images of the model's classes.
    """
    if settings.temperature is None or not isinstance(settings.temperature, str):
        return settings.temperature
    sample = load_sample("test")
    if settings.data is None and check_serves_pixels(model).class_names != sample.class_names:
        raise InputError(
            f"temperature={AUTO!r} requires evaluation images of the model's classes. Pass `data` or `--data`."
        )
    return evaluate(KerasPredictor(model), sample if settings.data is None else settings.data[1]).temperature


@contextlib.contextmanager
def divided_logits(model: keras.Model, temperature: float | None) -> Iterator[None]:
    """Divides the logits of a model by a temperature inside the block, through the weights of its head.

    Args:
        model: A model that ends in a `ClassifierHead`; its weights are the same again after the block.
        temperature: The temperature; None changes nothing.
    """
    if temperature is None:
        yield
        return
    weights = check_serves_pixels(model).weights
    values = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in weights]
    try:
        for weight, value in zip(weights, values, strict=True):
            weight.assign(value / temperature)
        yield
    finally:
        for weight, value in zip(weights, values, strict=True):
            weight.assign(value)
