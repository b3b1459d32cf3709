"""Predicts with a Keras model of this package, on any backend."""

import keras
import numpy as np

from keras_cct.errors import InputError, check_instance
from keras_cct.inference.predictor import check_images
from keras_cct.layers.pooling import ClassifierHead
from keras_cct.models.names import NORMALIZATION


class KerasPredictor:
    """Predicts with a Keras model of this package.

    Args:
        model: A model with its normalization and its head.

    Raises:
        InputError: The model takes normalized images, or has no head.
    """

    def __init__(self, model: keras.Model) -> None:
        self.class_names = check_serves_pixels(model).class_names
        self.image_shape: tuple[int, int, int] = tuple(model.input_shape[1:])
        self._model = model

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns class probabilities, as `Predictor` describes."""
        images = check_images(images, self.image_shape)
        if not len(images):
            return self.probabilities(np.zeros((1, *self.image_shape), "uint8"))[:0]
        return np.asarray(keras.ops.convert_to_numpy(keras.ops.softmax(self._model.predict_on_batch(images))))


def check_serves_pixels(model: keras.Model) -> ClassifierHead:
    """Returns the head of a model that maps pixels in [0, 255] to logits.

    Raises:
        InputError: It is not a Keras model, takes normalized images, or has no head.
    """
    check_instance("model", model, keras.Model, "a Keras model")
    head = model.layers[-1] if model.layers else None
    if not isinstance(head, ClassifierHead):
        raise InputError(
            f"model {model.name!r} does not end in class logits. Create it with include_top=True, the default."
        )
    if NORMALIZATION not in [layer.name for layer in model.layers]:
        raise InputError(
            f"model {model.name!r} takes normalized images, not pixels. Create it with normalization=(mean, std)."
        )
    return head


def compute_in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model that computes in float32, with the same weights; the model itself if it does already.

    Exports compute in float32, because no other runtime rounds in mixed precision as Keras does.

    Args:
        model: A model of this package, with any dtype policy. Quantized models are returned unchanged.
    """
    policies = [layer.dtype_policy for layer in model.layers]
    is_quantized = any(isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy) for policy in policies)
    if is_quantized or all(policy.compute_dtype == "float32" for policy in policies):
        return model
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    copy.set_weights(model.get_weights())
    return copy
