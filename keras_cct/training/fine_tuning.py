"""Which weights training starts from, and which of them it changes."""

import keras

from keras_cct.catalogue import published_tag
from keras_cct.errors import InputError
from keras_cct.recipe import Recipe


def initial_weights(recipe: Recipe) -> str | None:
    """Returns `weights` of `create_model`: `initial_checkpoint`, or the published ones, or None for random ones.

    Raises:
        InputError: Published weights are asked for and the variant has none.
    """
    if recipe.initial_checkpoint:
        return recipe.initial_checkpoint
    return published_tag(recipe.model) if recipe.pretrained else None


def freeze_layers(recipe: Recipe, model: keras.Model) -> None:
    """Leaves the layers before `freeze_until`, or before the head with `freeze`, out of training.

    Raises:
        InputError: The model has no such layer, or nothing is left to train.
    """
    first = "head" if recipe.freeze else recipe.freeze_until
    if not first:
        return
    names = [layer.name for layer in model.layers]
    if first not in names:
        choices = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise InputError(f"recipe key freeze_until={first!r} is no layer of {recipe.model}. Choose one of {choices}.")
    for layer in model.layers[: names.index(first)]:
        layer.trainable = False
    if not model.trainable_weights:
        raise InputError(f"recipe key freeze_until={first!r} leaves nothing to train. Name an earlier layer.")
