"""Features of a model for use in others: pooled vectors and grids of tokens."""

from collections.abc import Sequence

import keras

from keras_cct.errors import InputError
from keras_cct.layers.pooling import TokenGrid

POOLED = "pooled"
POOLS = ("sequence_pool", "class_token_pool")


def features(model: keras.Model, layers: Sequence[str] = (POOLED,)) -> keras.Model:
    """Returns a model that shares the weights of another and answers its features.

    Args:
        model: A model made by this package.
        layers: Any of "pooled" (the vector before the head), "tokenizer", "block_0" and on, and "norm" (the last
            block's tokens, normalized).

    Returns:
        A model from images to a dictionary with an entry per name: "pooled" of shape (batch, dim), the others of shape
        (batch, rows, columns, dim), the class token left out.

    Raises:
        InputError: The model has no such layer.

    Example:
        >>> backbone = features(create_model("cct_7_7x2_224"), layers=["block_3", "pooled"])
        >>> backbone.output_shape
        {'block_3': (None, 14, 14, 256), 'pooled': (None, 256)}
    """
    own = {POOLED if layer.name in POOLS else layer.name: layer for layer in model.layers}
    choices = [name for name in own if name in (POOLED, "tokenizer", "norm") or name.startswith("block_")]
    if not choices:
        raise InputError(f"model {model.name!r} has no features. Give a model made by keras_cct.")
    if isinstance(layers, str) or not layers:
        raise InputError(f"layers={layers!r} is not a list of names. Choose from {', '.join(choices)}.")
    for name in layers:
        if name not in choices:
            raise InputError(f"model {model.name!r} has no features {name!r}. Choose from {', '.join(choices)}.")
    rows, columns = own["tokenizer"].token_grid(model.input_shape)
    outputs = {
        name: own[name].output if name == POOLED else TokenGrid(rows, columns, name=f"{name}_grid")(own[name].output)
        for name in layers
    }
    return keras.Model(model.input, outputs, name=f"{model.name}_features")
