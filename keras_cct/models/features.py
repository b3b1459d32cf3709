"""Feature extractors: pooled vectors and grids of tokens from the layers of a model."""

from collections.abc import Sequence

import keras

from keras_cct.errors import InputError, check_instance
from keras_cct.layers.pooling import TokenGrid
from keras_cct.models import names

POOLED = "pooled"


def features(model: keras.Model, layers: Sequence[str] = (POOLED,)) -> keras.Model:
    """Returns a feature extractor that shares the weights of a model.

    Args:
        model: A model created by this package.
        layers: Any of "pooled" (the vector before the head), "tokenizer", "block_0", "block_1", ..., and "norm" (the
            normalized tokens of the last block).

    Returns:
        A model from images to a dictionary of tensors by name: "pooled" of shape (batch, dim), the others of shape
        (batch, rows, columns, dim), without the class token.

    Raises:
        InputError: The model does not have such a layer.

    Example:
        >>> backbone = features(create_model("cct_7_7x2_224"), layers=["block_3", "pooled"])
        >>> {name: output.shape for name, output in backbone.output.items()}
        {'block_3': (None, 14, 14, 256), 'pooled': (None, 256)}
    """
    check_instance("model", model, keras.Model, "a Keras model")
    layer_of_name = {POOLED if layer.name in names.POOLS else layer.name: layer for layer in model.layers}
    choices = [name for name in layer_of_name if _has_features(name)]
    if not choices:
        raise InputError(f"model {model.name!r} has no features. Use a model created by keras_cct.")
    if not isinstance(layers, list | tuple) or not layers:
        raise InputError(f"layers={layers!r} is not a list of names. Choose from {', '.join(choices)}.")
    for name in layers:
        if name not in choices:
            raise InputError(f"model {model.name!r} has no features {name!r}. Choose from {', '.join(choices)}.")
    rows, columns = layer_of_name[names.TOKENIZER].token_grid(model.input_shape)
    outputs = {}
    for name in layers:
        outputs[name] = layer_of_name[name].output
        if name != POOLED:
            outputs[name] = TokenGrid(rows, columns, name=f"{name}_grid")(outputs[name])
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _has_features(name: str) -> bool:
    return name in (POOLED, names.TOKENIZER, names.NORM) or names.block_index(name) is not None
