"""Augmentation layers of Keras and KerasCV, by name, in place of the recipe's own policy."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping

import tensorflow as tf

from keras_cct.errors import InputError

LIBRARIES = ("keras", "keras_cv")
AUGMENTATION_PACKAGES = ("image_preprocessing", "keras_cv.src.layers.preprocessing.")
"""Parts of the modules that hold the augmentation layers of Keras and of KerasCV."""


def is_library_layer(name: str) -> bool:
    """Returns whether a recipe's `aa` names a layer: "keras.NAME" or "keras_cv.NAME"."""
    return name.partition(".")[0] in LIBRARIES


def library_layer(
    name: str, arguments: Mapping[str, object], seed: int, channels: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a layer as a function of batches.

    The layer draws from its own generator, started from `seed` where it takes one; KerasCV's follow TensorFlow's global
    seed too. What it draws depends on the batches before, so that a run that is resumed goes on with other numbers.

    Args:
        name: "keras.NAME" or "keras_cv.NAME", e.g. "keras_cv.AugMix".
        arguments: Arguments of the layer; those of its `value_range` and `seed` that are missing are filled in.
        seed: Seed of the run.
        channels: Channels of the images.

    Returns:
        Function of a uint8 tensor of shape (batch, height, width, channels) that returns another.

    Raises:
        InputError: There is no such layer, it does not take the arguments or the images, or Keras runs on another
            backend than TensorFlow, on which the layers are not all able to work inside `tf.data`.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"aa={name!r} needs KERAS_BACKEND=tensorflow, not {keras.backend.backend()}: not every library layer runs "
            f"inside tf.data on others. Choose a policy like 'rand-m9-mstd0.5-inc1', which runs with all."
        )
    layer_class = _layer_class(name)
    taken = inspect.signature(layer_class).parameters
    defaults = {"value_range": (0, 255), "seed": seed}
    settings = {key: value for key, value in defaults.items() if key in taken} | dict(arguments)
    try:
        layer = layer_class(**settings)
        example = layer(tf.zeros((2, 32, 32, channels)), training=True)
    except (TypeError, ValueError, LookupError, AttributeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"aa={name!r} with aa_args={dict(arguments)!r} does not work: {reason} It takes {', '.join(taken)}."
        ) from error
    if tuple(example.shape) != (2, 32, 32, channels):
        raise InputError(f"aa={name!r} changes the size of images, and img_size rules that. Choose another layer.")

    @tf.function  # inside a map inside a flat_map nothing else turns KerasCV's Python conditions into a graph's
    def augment(images: tf.Tensor) -> tf.Tensor:
        changed = tf.cast(layer(tf.cast(images, tf.float32), training=True), tf.float32)
        return tf.ensure_shape(tf.cast(tf.clip_by_value(tf.round(changed), 0, 255), tf.uint8), images.shape)

    return augment


def _layer_class(name: str) -> type:
    library, _, layer_name = name.partition(".")
    layers = importlib.import_module(f"{library}.layers")
    choices = [choice for choice in sorted(vars(layers)) if _augments(getattr(layers, choice))]
    if layer_name not in choices:
        nearest = difflib.get_close_matches(layer_name, choices, n=3) or choices
        raise InputError(f"aa={name!r} is no augmentation layer of {library}. Choose from {', '.join(nearest)}.")
    return getattr(layers, layer_name)


def _augments(value: object) -> bool:
    return inspect.isclass(value) and any(package in value.__module__ for package in AUGMENTATION_PACKAGES)
