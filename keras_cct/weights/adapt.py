"""Changes a state dict so that it fits a model for other images or classes."""

import math
import warnings
from collections.abc import Mapping

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.weights.mapping import Entry, torch_entries


def resize_position_embedding(
    embedding: np.ndarray, grid: tuple[int, int], new_grid: tuple[int, int], has_class_token: bool
) -> np.ndarray:
    """Resizes a position embedding bilinearly on the grid of its tokens.

    Half-pixel centers, no antialiasing, as `torch.nn.functional.interpolate(mode="bilinear")` computes it. The class
    token's row is kept as it is.

    Args:
        embedding: Float array of shape (1, tokens, dim).
        grid: (rows, columns) of its tokens, the class token not counted.
        new_grid: (rows, columns) wanted.
        has_class_token: Whether the first token is a class token.

    Returns:
        Float32 array of shape (1, new tokens, dim).
    """
    class_row, positions = np.split(embedding, [int(has_class_token)], axis=1)
    dim = embedding.shape[-1]
    by_row, by_column = (_bilinear_weights(old, new) for old, new in zip(grid, new_grid, strict=True))
    positions = positions.astype("float64").reshape(*grid, dim)  # (rows, columns, dim)
    positions = np.einsum("rh,cw,hwd->rcd", by_row, by_column, positions)  # (new rows, new columns, dim)
    return np.concatenate([class_row, positions.reshape(1, -1, dim)], axis=1).astype("float32")


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


POSITION_KEY = "classifier.positional_emb"
CLASS_TOKEN_KEY = "classifier.class_emb"
HEAD_KEYS = ("classifier.fc.weight", "classifier.fc.bias")
FIRST_KERNEL_KEY = "tokenizer.conv_layers.0.0.weight"
MAP_NORM_ENDINGS = ("conv_attn.0.weight", "self_attn.norm.weight")


def adapt_state_dict(
    arrays: Mapping[str, np.ndarray], model: keras.Model, grid: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Returns the arrays changed to fit a model, as far as a rule says how.

    * For another grid of tokens the position embedding is resized on its own; a sine embedding is computed anew.
    * A head for another number of classes is left fresh, with a warning; a model without a head takes none.
    * The first kernel is summed over its channels for gray images, and otherwise repeated and rescaled.

    Args:
        arrays: State dict of names to arrays.
        model: The model they are for.
        grid: (rows, columns) of the tokens they come from; a square if not given.

    Raises:
        InputError: The embedding has to be resized, and its grid is not known; or the weights normalize maps of another
            number of tokens.
    """
    fitted = dict(arrays)
    own = {entry.key: entry for entry in torch_entries(model)}
    _check_map_norms(fitted, own, model.name)
    # What has not even the number of axes is left for the check that follows, which lists it.
    if _has_axes(fitted, POSITION_KEY, 3) and POSITION_KEY in own:
        fitted[POSITION_KEY] = _fit_positions(fitted, own[POSITION_KEY], model, grid)
    _fit_head(fitted, own, model.name)
    if _has_axes(fitted, FIRST_KERNEL_KEY, 4) and fitted[FIRST_KERNEL_KEY].size:
        fitted[FIRST_KERNEL_KEY] = _fit_channels(fitted[FIRST_KERNEL_KEY], own[FIRST_KERNEL_KEY].torch_shape[1])
    return fitted


def _check_map_norms(arrays: dict, own: dict, name: str) -> None:
    for key, entry in own.items():
        if not key.endswith(MAP_NORM_ENDINGS) or not _has_axes(arrays, key, 3):
            continue
        given, wanted = arrays[key].shape, entry.torch_shape
        if len(wanted) == 3 and given[0] == wanted[0] and given != wanted:
            raise InputError(
                f"the weights normalize maps of {given[-1]} tokens, model {name!r} has {wanted[-1]}: they are tied to "
                f"their image size. Give the model the image size that the weights come from."
            )


def _fit_positions(arrays: dict, own: Entry, model: keras.Model, grid: tuple[int, int] | None) -> np.ndarray:
    embedding, has_class_token = arrays[POSITION_KEY], CLASS_TOKEN_KEY in arrays
    new_grid = model.get_layer("tokenizer").token_grid(model.input_shape)
    is_other = embedding.shape[::2] != own.torch_shape[::2]
    if is_other or (embedding.shape == own.torch_shape and grid in (None, new_grid)):
        return embedding
    if model.get_layer("position_embedding").kind == "sine":
        return own.to_torch()
    num_positions = embedding.shape[1] - int(has_class_token)
    side = math.isqrt(num_positions)
    if grid is None and side * side != num_positions:
        raise InputError(
            f"the {num_positions} positions of the weights are no square, so their grid is not known. "
            f"Give the .keras file that they come from."
        )
    return resize_position_embedding(embedding, grid or (side, side), new_grid, has_class_token)


def _fit_head(fitted: dict, own: dict, name: str) -> None:
    if not (_has_axes(fitted, HEAD_KEYS[0], 2) and _has_axes(fitted, HEAD_KEYS[1], 1)):
        return
    if HEAD_KEYS[0] not in own:
        for key in HEAD_KEYS:
            del fitted[key]
        return
    given, wanted = len(fitted[HEAD_KEYS[1]]), own[HEAD_KEYS[1]].torch_shape[0]
    if given != wanted:
        warnings.warn(
            f"the weights have a head for {given} classes, model {name!r} has {wanted}: its head stays untrained.",
            stacklevel=4,
        )
        fitted.update({key: own[key].to_torch() for key in HEAD_KEYS})


def _has_axes(arrays: dict, key: str, num_axes: int) -> bool:
    return key in arrays and arrays[key].ndim == num_axes


def _fit_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    given = kernel.shape[1]  # (filters, channels, height, width)
    if given == channels:
        return kernel
    if channels == 1:
        return kernel.sum(axis=1, keepdims=True)
    repeated = np.tile(kernel, (1, -(-channels // given), 1, 1))[:, :channels]
    return repeated * np.float32(given / channels)
