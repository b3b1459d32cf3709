"""Augmentation layers of Keras and KerasCV, selected by name instead of a RandAugment policy."""

import dataclasses
import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping

import tensorflow as tf

from keras_cct.errors import InputError

LIBRARIES = ("keras", "keras_cv")
AUGMENTATION_PACKAGES = ("image_preprocessing", "keras_cv.src.layers.preprocessing.")
"""Parts of the names of the modules that define the augmentation layers of Keras and of KerasCV."""

LAYER_ERRORS = (TypeError, ValueError, LookupError, AttributeError, tf.errors.OpError)
"""Exceptions that the layers raise for invalid arguments or images."""


def is_library_layer(name: str) -> bool:
    """Returns whether a recipe's `aa` names a layer: "keras.NAME" or "keras_cv.NAME"."""
    return name.partition(".")[0] in LIBRARIES


@dataclasses.dataclass(frozen=True, eq=False)
class LibraryLayer:
    """An augmentation layer of Keras or KerasCV; made by `create_library_layer`.

    The layer draws from its own generator, so that its random numbers depend on the order in which the threads of the
    input pipeline call it: runs with a library layer are not reproducible.

    Args:
        name: "keras.NAME" or "keras_cv.NAME".
        arguments: Arguments given by the user.
        layer: The layer.
    """

    name: str
    arguments: Mapping[str, object]
    layer: Callable[..., tf.Tensor]

    def for_images(self, image_shape: tuple[int, int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns the layer as a function of batches, after a trial call with two black images.

        Args:
            image_shape: (height, width, channels) of the images.

        Returns:
            Function from a uint8 tensor of shape (batch, height, width, channels) to another of the same shape.

        Raises:
            InputError: The layer does not accept such images, or changes their size.
        """
        try:
            output = self.layer(tf.zeros((2, *image_shape)), training=True)
            shape = tuple(output.shape)
        except LAYER_ERRORS as error:
            raise _layer_error(self.name, self.arguments, error, type(self.layer)) from error
        if shape != (2, *image_shape):
            raise InputError(f"aa={self.name!r} changes the image size, which img_size sets. Choose another layer.")

        @tf.function  # inside Dataset.map inside Dataset.flat_map, AutoGraph converts KerasCV's conditions only here
        def augment(images: tf.Tensor) -> tf.Tensor:
            augmented = tf.cast(self.layer(tf.cast(images, tf.float32), training=True), tf.float32)
            return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(augmented), 0, 255), tf.uint8), images.shape)

        return augment


def create_library_layer(name: str, arguments: Mapping[str, object], seed: int) -> LibraryLayer:
    """Creates a layer.

    Args:
        name: "keras.NAME" or "keras_cv.NAME", e.g. "keras_cv.AugMix".
        arguments: Arguments of the layer. `value_range` and `seed` are filled in if the layer has them.
        seed: Default of the layer's `seed`. Layers of KerasCV depend on TensorFlow's global seed too.

    Raises:
        InputError: The layer does not exist, does not accept the arguments, or Keras runs on a backend other than
            TensorFlow: not every layer runs inside `tf.data` there.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"aa={name!r} needs KERAS_BACKEND=tensorflow, got {keras.backend.backend()}: not every library layer runs "
            f"inside tf.data on other backends. Choose a policy such as 'rand-m9-mstd0.5-inc1', which runs on all."
        )
    layer_class = _find_layer_class(name)
    defaults = {"value_range": (0, 255), "seed": seed}
    parameters = inspect.signature(layer_class).parameters
    settings = {key: value for key, value in defaults.items() if key in parameters} | dict(arguments)
    try:
        return LibraryLayer(name, arguments, layer_class(**settings))
    except LAYER_ERRORS as error:
        raise _layer_error(name, arguments, error, layer_class) from error


def _layer_error(name: str, arguments: Mapping[str, object], error: Exception, layer_class: type) -> InputError:
    reason = str(error).strip().splitlines()[0]
    parameters = ", ".join(inspect.signature(layer_class).parameters)
    return InputError(f"aa={name!r} with aa_args={dict(arguments)!r} failed: {reason} The layer accepts {parameters}.")


def _find_layer_class(name: str) -> type:
    library, _, layer_name = name.partition(".")
    layers = importlib.import_module(f"{library}.layers")
    choices = [choice for choice in sorted(vars(layers)) if _is_augmentation_layer(getattr(layers, choice))]
    if layer_name not in choices:
        nearest = difflib.get_close_matches(layer_name, choices, n=3) or choices
        raise InputError(f"aa={name!r} is not an augmentation layer of {library}. Choose from {', '.join(nearest)}.")
    return getattr(layers, layer_name)


def _is_augmentation_layer(value: object) -> bool:
    return inspect.isclass(value) and any(package in value.__module__ for package in AUGMENTATION_PACKAGES)
