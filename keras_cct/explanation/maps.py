"""Attention, attention rollout and pooling maps of a model, as arrays."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from keras_cct.errors import InputError, check_count
from keras_cct.inference.predictor import check_images
from keras_cct.layers.encoder import EncoderBlock
from keras_cct.layers.linalg import in_full_precision
from keras_cct.layers.manifold import ManifoldAttention
from keras_cct.layers.pooling import SequencePool
from keras_cct.layers.shapes import Tensor, ops
from keras_cct.models import names


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Where a model looks in a batch of images, in float32 (float64 for a model in float64).

    The tokens of an image form a grid of rows and columns; in the attention arrays they are in row-major order, after
    the class token if there is one.

    Args:
        pooling: Weight of each patch in the feature vector, of shape (batch, rows, columns). With sequence pooling,
            these are its weights. With a class token, it is the attention of the class token to the patches in the last
            block, averaged over the heads and divided by its sum. Sums to 1 per image.
        rollout: Attention rollout through all blocks, of shape (batch, rows, columns): how much each input patch
            contributes to the feature vector. Sums to 1 per image.
        attention: For each block, the attention weights of shape (batch, heads, tokens, tokens), one row per query.
            Rows sum to 1, except on the Grassmann manifold alone, whose normalized scores have any sign.
        manifolds: For each block, the scaled similarity map of each manifold by its name, of the same shape, before
            normalization and combination. Dictionaries are empty if the attention does not combine manifolds.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.2, for sequence pooling; Abnar and Zuidema 2020,
    arXiv:2005.00928, for attention rollout.
    """

    pooling: np.ndarray
    rollout: np.ndarray
    attention: tuple[np.ndarray, ...]
    manifolds: tuple[dict[str, np.ndarray], ...]

    @property
    def num_class_tokens(self) -> int:
        """Number of tokens before those of the patches: 1 with a class token, otherwise 0."""
        _, rows, columns = self.pooling.shape
        return self.attention[0].shape[-1] - rows * columns

    def head_maps(self, manifold: str | None = None) -> np.ndarray:
        """Returns how much attention each patch receives from each head.

        Args:
            manifold: Name of a manifold to use its similarity maps instead of the attention weights.

        Returns:
            Float array of shape (batch, blocks, heads, rows, columns): the attention of the class token to each patch
            or, without a class token, the mean over all queries.

        Raises:
            InputError: The attention does not compare tokens on this manifold.
        """
        if manifold is not None and manifold not in self.manifolds[0]:
            choices = ", ".join(self.manifolds[0]) or "None: the model does not combine manifolds"
            raise InputError(f"manifold={manifold!r} is not part of this attention. Choose from {choices}.")
        blocks = self.attention if manifold is None else [maps[manifold] for maps in self.manifolds]
        num_extra = self.num_class_tokens
        maps = np.stack(blocks, axis=1)[..., num_extra:]  # (batch, blocks, heads, tokens, patches)
        received = maps[..., 0, :] if num_extra else maps.mean(axis=-2)  # (batch, blocks, heads, patches)
        return received.reshape(*received.shape[:-1], *self.pooling.shape[1:])


def explain(model: keras.Model, images: np.ndarray, batch_size: int = 32) -> Explanation:
    """Returns attention, attention rollout and pooling map of each image.

    The attention of each block is computed from the tokens that it receives, so prediction with the model keeps its
    fused attention and its speed.

    Args:
        model: A model created by this package, of any dtype and quantization.
        images: Array of shape (batch, height, width, channels), pixels in [0, 255] of any dtype.
        batch_size: Images that are computed at once. The result holds heads x tokens x tokens values per image and
            block: 0.1 GB per image for CCT-14 at 384x384 pixels.

    Raises:
        InputError: The model has other layers, or the images have the wrong shape.

    Example:
        >>> explanation = explain(create_model("cct_7_3x1_32"), images)
        >>> explanation.pooling.shape, explanation.attention[0].shape
        ((8, 16, 16), (8, 4, 256, 256))
    """
    parts = _find_parts(model)
    try:
        images = np.asarray(images)
    except (TypeError, ValueError) as error:
        raise InputError(f"images must be an array of shape (batch, height, width, channels): {error}.") from error
    images = check_images(images, model.input_shape[1:])
    check_count("batch_size", batch_size)
    if not len(images):
        raise InputError("images is empty. Pass at least one image.")
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    results = [_explain_batch(parts, batch) for batch in batches]
    attention = tuple(map(np.concatenate, zip(*(result[0] for result in results), strict=True)))
    manifolds = tuple(
        {name: np.concatenate([maps[name] for maps in block]) for name in block[0]}
        for block in zip(*(result[1] for result in results), strict=True)
    )
    pooling, contributions = _pool(attention, [result[2] for result in results], math.prod(parts.grid))
    if not np.isfinite(contributions).all():
        raise InputError(
            f"model {model.name!r} computes NaN or infinity. Its training may have diverged; use an earlier checkpoint."
        )
    grid = (len(images), *parts.grid)
    return Explanation(pooling.reshape(grid), contributions.reshape(grid), attention, manifolds)


def attention_rollout(attention: tuple[np.ndarray, ...]) -> np.ndarray:
    """Returns how much each token of the first block contributes to each token after the last.

    Each block passes on half of a token by its residual connection and half by attention, averaged over the heads. Rows
    that do not sum to 1, on the Grassmann manifold, are replaced by their magnitudes divided by their sum.

    Args:
        attention: For each block, attention weights of shape (batch, heads, tokens, tokens).

    Returns:
        Float array of shape (batch, tokens, tokens), whose rows sum to 1.

    Reference: Abnar and Zuidema 2020, arXiv:2005.00928.
    """
    rollout = np.eye(attention[0].shape[-1], dtype=attention[0].dtype)
    for weights in attention:
        mixing = (np.eye(weights.shape[-1], dtype=weights.dtype) + _normalized(weights).mean(axis=1)) / 2
        rollout = mixing @ rollout  # (batch, tokens, tokens)
    return rollout


@dataclasses.dataclass(frozen=True)
class _Parts:
    """The layers of a model that matter here.

    Args:
        grid: Rows and columns of the patches.
        tokens: A model from images to the input tokens of each block and of the pooling layer.
        blocks: The encoder blocks.
        pool: The pooling layer.
    """

    grid: tuple[int, int]
    tokens: keras.Model
    blocks: list[EncoderBlock]
    pool: keras.layers.Layer


def _find_parts(model: keras.Model) -> _Parts:
    if not isinstance(model, keras.Model):
        raise InputError(
            f"{model!r} is not a Keras model. Explanations need the .keras file, not an exported artifact."
        )
    layers: dict[str, Any] = {layer.name: layer for layer in model.layers}
    blocks = [layer for layer in model.layers if isinstance(layer, EncoderBlock)]
    pools = [layers[name] for name in names.POOLS if name in layers]
    if names.TOKENIZER not in layers or not blocks or len(pools) != 1:
        inner = next((layer.name for layer in model.layers if _is_explainable(layer)), None)
        advice = f"Pass its layer: model.get_layer({inner!r})." if inner else "Use a model created by keras_cct."
        raise InputError(
            f"model {model.name!r} has no encoder blocks between a tokenizer and a pooling layer. {advice}"
        )
    inputs = [layer.input for layer in [*blocks, *pools]]
    return _Parts(
        layers[names.TOKENIZER].token_grid(model.input_shape), keras.Model(model.input, inputs), blocks, pools[0]
    )


def _is_explainable(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.Model) and names.TOKENIZER in [inner.name for inner in layer.layers]


def _explain_batch(
    parts: _Parts, images: np.ndarray
) -> tuple[list[np.ndarray], list[dict[str, np.ndarray]], np.ndarray | None]:
    """Returns the attention weights and the similarity maps of each block, and the weights of sequence pooling."""
    *tokens_of_blocks, pooled_tokens = parts.tokens(images, training=False)
    attention, manifolds = [], []
    for block, tokens in zip(parts.blocks, tokens_of_blocks, strict=True):
        normalized = block.attention_norm(tokens)
        _, weights = block.attention(normalized, training=False, return_attention_weights=True)
        attention.append(_to_array(weights))
        combines = isinstance(block.attention, ManifoldAttention)
        maps = block.attention.manifold_maps(normalized) if combines else {}
        manifolds.append({name: _to_array(values) for name, values in maps.items()})
    has_weights = isinstance(parts.pool, SequencePool)
    pooling = _to_array(parts.pool.pooling_weights(pooled_tokens))[..., 0] if has_weights else None  # (batch, tokens)
    return attention, manifolds, pooling


def _to_array(x: Tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(in_full_precision(x)))


def _pool(
    attention: tuple[np.ndarray, ...], pooling: list[np.ndarray | None], num_patches: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights of the patches in the feature vector, and their contributions through all blocks.

    Both have shape (batch, patches). The patches are the last tokens.
    """
    rollout = attention_rollout(attention)  # (batch, tokens, tokens)
    weights = [values for values in pooling if values is not None]
    if weights:
        pooled = np.concatenate(weights)  # (batch, tokens)
        contributions = np.einsum("bt,bts->bs", pooled, rollout)
    else:
        pooled = _normalized(attention[-1]).mean(axis=1)[:, 0]  # (batch, tokens), the row of the class token
        contributions = rollout[:, 0]
    return _normalized(pooled[:, -num_patches:]), _normalized(contributions[:, -num_patches:])


def _normalized(weights: np.ndarray) -> np.ndarray:
    """Returns magnitudes that sum to 1 over the last axis. Softmax weights change by rounding errors only."""
    magnitudes = np.abs(weights)
    totals = magnitudes.sum(axis=-1, keepdims=True)
    return np.where(totals == 0, 1 / weights.shape[-1], magnitudes / np.where(totals == 0, 1, totals))
