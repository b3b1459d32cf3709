"""Adapts a state dict to a model with another input shape or number of classes."""

import math
import warnings
from collections.abc import Mapping

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.layers.initializers import sine_embedding
from keras_cct.models import names
from keras_cct.weights.mapping import Entry, torch_entries

POSITION_KEY = "classifier.positional_emb"
CLASS_TOKEN_KEY = "classifier.class_emb"
HEAD_KEYS = ("classifier.fc.weight", "classifier.fc.bias")
FIRST_KERNEL_KEY = "tokenizer.conv_layers.0.0.weight"
ROUNDING_ERROR = 1e-2
"""Largest rounding error of values in [-1, 1] that were stored in 16 bits."""
MAP_NORM_ENDINGS = ("conv_attn.0.weight", "self_attn.norm.weight")


def resize_position_embedding(
    embedding: np.ndarray, grid: tuple[int, int], new_grid: tuple[int, int], has_class_token: bool
) -> np.ndarray:
    """Resizes a position embedding bilinearly on its token grid.

    Half-pixel centers, no antialiasing, as in `torch.nn.functional.interpolate(mode="bilinear")`. The embedding of the
    class token is not resized.

    Args:
        embedding: Float array of shape (1, tokens, dim).
        grid: (rows, columns) of the tokens, the class token not counted.
        new_grid: (rows, columns) after resizing.
        has_class_token: Whether the first token is a class token.

    Returns:
        Float32 array of shape (1, new tokens, dim).
    """
    class_token, positions = np.split(embedding, [int(has_class_token)], axis=1)
    dim = embedding.shape[-1]
    row_weights, column_weights = (_bilinear_weights(old, new) for old, new in zip(grid, new_grid, strict=True))
    positions = positions.astype("float64").reshape(*grid, dim)  # (rows, columns, dim)
    positions = np.einsum("rh,cw,hwd->rcd", row_weights, column_weights, positions)  # (new rows, new columns, dim)
    return np.concatenate([class_token, positions.reshape(1, -1, dim)], axis=1).astype("float32")


def _bilinear_weights(size: int, new_size: int) -> np.ndarray:
    """Returns the (new_size, size) matrix that resizes along one axis."""
    centers = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    before = np.floor(centers).astype(int)
    after = np.minimum(before + 1, size - 1)
    weights = np.zeros((new_size, size))
    rows = np.arange(new_size)
    np.add.at(weights, (rows, before), 1 - (centers - before))
    np.add.at(weights, (rows, after), centers - before)
    return weights


def adapt_state_dict(
    arrays: Mapping[str, np.ndarray], model: keras.Model, grid: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Returns a state dict adapted to the input shape and classes of a model.

    * Another token grid: a learned position embedding is resized; a sine embedding is recomputed.
    * Another number of classes: the head keeps its initial weights, with a warning. A model without a head ignores it.
    * Another number of channels: the first kernel is summed over its channels for one channel, otherwise repeated and
      rescaled.

    Any other mismatch is left for `assign_state_dict` to report.

    Args:
        arrays: State dict of names to arrays.
        model: The model to load them into.
        grid: (rows, columns) of the tokens of the model that the weights come from. Default: a square grid.

    Raises:
        InputError: The position embedding must be resized but its grid is unknown, or the weights normalize the
            attention maps of another number of tokens.
    """
    adapted = dict(arrays)
    entries = {entry.key: entry for entry in torch_entries(model)}
    _check_map_norms(adapted, entries, model.name)
    if _has_axes(adapted, POSITION_KEY, 3) and POSITION_KEY in entries:
        adapted[POSITION_KEY] = _adapt_positions(adapted, entries[POSITION_KEY], model, grid)
    _adapt_head(adapted, entries, model.name)
    if _has_axes(adapted, FIRST_KERNEL_KEY, 4) and adapted[FIRST_KERNEL_KEY].size:
        channels = entries[FIRST_KERNEL_KEY].torch_shape[1]
        adapted[FIRST_KERNEL_KEY] = _adapt_channels(adapted[FIRST_KERNEL_KEY], channels)
    return adapted


def _has_axes(arrays: Mapping[str, np.ndarray], key: str, num_axes: int) -> bool:
    return key in arrays and arrays[key].ndim == num_axes


def _check_map_norms(arrays: Mapping[str, np.ndarray], entries: Mapping[str, Entry], model_name: str) -> None:
    for key, entry in entries.items():
        if not key.endswith(MAP_NORM_ENDINGS) or not _has_axes(arrays, key, 3):
            continue
        found, expected = arrays[key].shape, entry.torch_shape  # (maps, tokens, tokens)
        if len(expected) == 3 and found[0] == expected[0] and found != expected:
            raise InputError(
                f"the weights normalize attention maps of {found[-1]} tokens, model {model_name!r} has {expected[-1]}. "
                f"Normalized maps cannot be resized; create the model with the input shape of the weights."
            )


def _adapt_positions(
    arrays: Mapping[str, np.ndarray], entry: Entry, model: keras.Model, grid: tuple[int, int] | None
) -> np.ndarray:
    embedding, has_class_token = arrays[POSITION_KEY], CLASS_TOKEN_KEY in arrays
    new_grid = model.get_layer(names.TOKENIZER).token_grid(model.input_shape)
    has_other_dim = embedding.shape[::2] != entry.torch_shape[::2]
    if has_other_dim or (embedding.shape == entry.torch_shape and grid in (None, new_grid)):
        return embedding
    if model.get_layer(names.POSITION_EMBEDDING).embedding_type == "sine" and _is_sine(embedding):
        return entry.to_torch()
    num_positions = embedding.shape[1] - int(has_class_token)
    side = math.isqrt(num_positions)
    if grid is None and side * side != num_positions:
        raise InputError(
            f"the weights have {num_positions} positions, which is not a square grid, so the grid is unknown. "
            f"Load the .keras file that the weights come from."
        )
    return resize_position_embedding(embedding, grid or (side, side), new_grid, has_class_token)


def _is_sine(embedding: np.ndarray) -> bool:
    """Returns whether an embedding is not learned; the published files of `*_sine` variants contain learned ones."""
    return np.allclose(embedding, sine_embedding(*embedding.shape[1:]), atol=ROUNDING_ERROR)


def _adapt_head(adapted: dict[str, np.ndarray], entries: Mapping[str, Entry], model_name: str) -> None:
    kernel_key, bias_key = HEAD_KEYS
    if not (_has_axes(adapted, kernel_key, 2) and _has_axes(adapted, bias_key, 1)):
        return
    if kernel_key not in entries:
        for key in HEAD_KEYS:
            del adapted[key]
        return
    (found,), (expected,) = adapted[bias_key].shape, entries[bias_key].torch_shape
    if found != expected:
        warnings.warn(
            f"the weights have a head for {found} classes, model {model_name!r} has {expected}: "
            f"its head stays untrained.",
            stacklevel=4,
        )
        adapted.update({key: entries[key].to_torch() for key in HEAD_KEYS})


def _adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    old_channels = kernel.shape[1]  # (filters, channels, height, width)
    if old_channels == channels:
        return kernel
    if channels == 1:
        return kernel.sum(axis=1, keepdims=True)
    repeated = np.tile(kernel, (1, -(-channels // old_channels), 1, 1))[:, :channels]
    return repeated * np.float32(old_channels / channels)
