"""Softmax self-attention whose scores combine similarities on several manifolds."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_cct.errors import InputError, check_choice
from keras_cct.facts.attention import MANIFOLDS
from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.linalg import (
    SUPPORTS_JIT,
    in_full_precision,
    orthonormal_basis,
    upstream_gradient,
)
from keras_cct.layers.shapes import (
    Shape,
    Tensor,
    check_num_tokens,
    check_token_shape,
    check_weight_size,
    ops,
    transposed,
)


def euclidean_scores(query: Tensor, key: Tensor) -> Tensor:
    """Returns the inner products of queries and keys.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.matmul(query, transposed(key))  # (..., tokens, tokens)


def spd_scores(query: Tensor, key: Tensor) -> Tensor:
    """Returns the entrywise magnitudes of the product of the queries' and the keys' covariance matrices.

    Covariance matrices of the tokens are points on the SPD manifold. The scores do not change when a constant is added
    to a token. The product is computed from its inner factor, of shape (head_dim, head_dim), so the covariance matrices
    themselves, of shape (tokens, tokens), are never computed.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    query = query - ops.mean(query, axis=-1, keepdims=True)
    key = key - ops.mean(key, axis=-1, keepdims=True)
    middle = ops.matmul(transposed(query), key) * (query.shape[-1] - 1) ** -2  # (..., head_dim, head_dim)
    return ops.abs(ops.matmul(ops.matmul(query, middle), transposed(key)))  # (..., tokens, tokens)


def grassmann_scores(query: Tensor, key: Tensor) -> Tensor:
    """Returns the squared inner products of the rows of two orthonormal bases, points on the Grassmann manifold.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.square(ops.matmul(token_basis(query), transposed(token_basis(key))))  # (..., tokens, tokens)


def token_basis(x: Tensor) -> Tensor:
    """Returns an orthonormal basis of the column space of the tokens, computed in float32 or float64.

    Args:
        x: Float tensor of shape (..., tokens, head_dim).

    Returns:
        Float tensor of shape (..., tokens, min(tokens, head_dim)).
    """
    rank = min(x.shape[-2:])
    columns: Any = x[..., :rank]
    return ops.cast(orthonormal_basis(in_full_precision(columns)), x.dtype)


def build_map_normalization(
    num_maps: int, num_tokens: int, dtype: keras.DTypePolicy
) -> keras.layers.LayerNormalization:
    """Returns a built `LayerNormalization` over all entries of all similarity maps of a sample.

    Args:
        num_maps: Number of maps.
        num_tokens: Number of tokens, the rows and columns of a map.
        dtype: Dtype policy.

    Raises:
        InputError: There are too many tokens.
    """
    check_weight_size("map normalization", (num_maps, num_tokens, num_tokens))
    axes: Any = (1, 2, 3)  # the type checker infers int from Keras's default
    layer = keras.layers.LayerNormalization(axis=axes, epsilon=1e-5, dtype=dtype, name="map_norm")
    layer.build((None, num_maps, num_tokens, num_tokens))
    return layer


def check_tokens_of_maps(map_normalization: keras.layers.LayerNormalization, num_tokens: int | None) -> None:
    """Raises InputError unless the number of tokens is the one that a map normalization was built for."""
    gamma: Any = map_normalization.gamma
    num_built_for = gamma.shape[-1]
    if num_tokens != num_built_for:
        raise InputError(
            f"got {num_tokens} tokens, but the map normalization was built for {num_built_for}. "
            f"Create a model for this image size."
        )


_SCORE_FUNCTIONS = {"euclidean": euclidean_scores, "spd": spd_scores, "grassmann": grassmann_scores}


@keras.saving.register_keras_serializable("keras_cct")
class ManifoldAttention(SelfAttention):
    """Multi-head self-attention that compares queries and keys on several manifolds.

    Each manifold gives one similarity map per head, multiplied by a learned scale. The scores of a head are a learned
    linear combination of all maps of all heads. Unlike in `SelfAttention`, the query, key and value projection has a
    bias.

    Args:
        num_heads: Number of heads; must divide `dim`.
        manifolds: Which of "euclidean", "spd" and "grassmann" to use, at least one.
        map_normalization: Whether to apply one layer normalization to all maps before they are combined. Its weights,
            one gain and one bias per entry, tie the layer to the number of tokens it was built for.
        attention_dropout_rate: Dropout rate of the attention weights, in [0, 1). With all three manifolds, it applies
            to the SPD map too.
        dropout_rate: Dropout rate of the output, in [0, 1).
        seed: Seed of the dropout layers; None selects a random seed.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim). With `return_attention_weights`, a pair of that tensor and the
        attention weights before dropout, of shape (batch, heads, tokens, tokens): one row per query, which sums to 1.

    Raises:
        InputError: A value is unknown or out of range, `num_heads` does not divide `dim` or leaves a head_dim of 1
            for the SPD map, or the number of tokens differs from that of the map normalization.

    Reference: Konstantinidis et al. 2023, IEEE Access 11:123433, arXiv:2207.08569, as its code computes it.
    """

    MANIFOLDS = MANIFOLDS
    has_query_key_value_bias = True

    def __init__(
        self,
        num_heads: int,
        manifolds: Sequence[str] = MANIFOLDS,
        map_normalization: bool = True,
        attention_dropout_rate: float = 0.1,
        dropout_rate: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, attention_dropout_rate, dropout_rate, seed, **kwargs)
        names = manifolds if isinstance(manifolds, (list, tuple)) else ()
        if not names or not all(name in self.MANIFOLDS for name in names):
            raise InputError(f"manifolds={manifolds!r} is unknown. Choose from {', '.join(self.MANIFOLDS)}.")
        self.manifolds = [name for name in self.MANIFOLDS if name in manifolds]
        check_choice("map_normalization", map_normalization, (True, False))
        self.map_normalization = map_normalization
        self.supports_jit = SUPPORTS_JIT or "grassmann" not in self.manifolds

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        dim = check_token_shape(input_shape)
        if "spd" in self.manifolds and dim == self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} gives head_dim=1 for dim={dim}, but a covariance needs at least 2 "
                f"dimensions per head. Use fewer heads."
            )
        num_maps = len(self.manifolds) * self.num_heads
        initial_scale = keras.initializers.Constant(1 / math.sqrt(dim // self.num_heads))
        self.scales = [
            self.add_weight(shape=(), initializer=initial_scale, name=f"{name}_scale") for name in self.manifolds
        ]
        if self.map_normalization:
            self.map_norm = build_map_normalization(num_maps, check_num_tokens(input_shape), dtype=self.dtype_policy)
        # The manifold paper's code keeps PyTorch's default initialization of a convolution.
        uniform = keras.initializers.RandomUniform(-1 / math.sqrt(num_maps), 1 / math.sqrt(num_maps))
        kernel_shape = (1, 1, num_maps, self.num_heads)
        self.mix_kernel = self.add_weight(shape=kernel_shape, initializer=uniform, name="mix_kernel")
        self.mix_bias = self.add_weight(shape=(self.num_heads,), initializer=uniform.clone(), name="mix_bias")

    def call(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        if self.map_normalization:
            check_tokens_of_maps(self.map_norm, tokens.shape[1])
        query, key, value = self.split_heads(tokens)  # 3 x (batch, heads, tokens, head_dim)
        maps = self._similarity_maps(query, key)
        if len(maps) == len(self.MANIFOLDS):
            maps["spd"] = self.attention_dropout(maps["spd"], training=training)
        scores = self._combine_maps(list(maps.values()))
        x, weights = self.attend(scores, value, training, return_attention_weights)
        x = self.dropout(self.projection(x), training=training)
        return (x, weights) if return_attention_weights else x

    def manifold_maps(self, tokens: Tensor) -> dict[str, Tensor]:
        """Returns the scaled similarity map of each manifold, before normalization and combination.

        Args:
            tokens: Float tensor of shape (batch, tokens, dim).

        Returns:
            Dictionary of float tensors of shape (batch, heads, tokens, tokens), by the name of the manifold.
        """
        query, key, _ = self.split_heads(tokens)
        maps = self._similarity_maps(query, key)
        return {
            name: maps[name] * ops.cast(scale, query.dtype)
            for name, scale in zip(self.manifolds, self.scales, strict=True)
        }

    def _similarity_maps(self, query: Tensor, key: Tensor) -> dict[str, Tensor]:
        return {name: _SCORE_FUNCTIONS[name](query, key) for name in self.manifolds}

    def _combine_maps(self, maps: list[Tensor]) -> Tensor:
        """Scales, normalizes and combines maps of shape (batch, heads, tokens, tokens) to scores of that shape.

        The maps are by far the largest tensors, so they are read as few times as possible: the scales are multiplied
        into the kernel, and mean and standard deviation are applied to the combination instead of the maps.
        """
        if self.map_normalization:
            maps = [in_full_precision(m) for m in maps]
        dtype = maps[0].dtype
        scales = [ops.cast(scale, dtype) for scale in self.scales]
        kernel = ops.transpose(ops.cast(self.mix_kernel, dtype)[0, 0])  # (heads, manifolds * heads)
        kernels = ops.split(kernel, len(maps), axis=1)  # manifolds x (heads, heads)
        bias = ops.cast(self.mix_bias, dtype)[:, None, None]
        if not self.map_normalization:
            combined = [_combine(k * s, m) for k, s, m in zip(kernels, scales, maps, strict=True)]
            return sum(combined[1:], combined[0]) + bias
        gain, map_bias = ops.cast(self.map_norm.gamma, dtype), ops.cast(self.map_norm.beta, dtype)
        gains = ops.split(gain, len(maps))
        combined = [_combine(k * s, m * g) for k, s, m, g in zip(kernels, scales, maps, gains, strict=True)]
        combined = sum(combined[1:], combined[0])
        mean, variance = _moments(maps, scales)
        offset = _combine(kernel, gain)  # (heads, tokens, tokens)
        bias = _combine(kernel, map_bias) + bias
        return (combined - mean * offset) * ops.rsqrt(variance + self.map_norm.epsilon) + bias

    def get_config(self) -> dict:
        return {**super().get_config(), "manifolds": self.manifolds, "map_normalization": self.map_normalization}


def _moments(maps: list[Tensor], scales: list[Tensor]) -> tuple[Any, Any]:
    """Returns mean and variance over all entries of all scaled maps of a sample, each of shape (batch, 1, 1, 1).

    The variance is the sum of the variances within the maps and between their means, so no map has to be scaled.
    """
    means, variances = zip(*(ops.unstack(map_moments(m)) for m in maps), strict=True)
    means = [mean * scale for mean, scale in zip(means, scales, strict=True)]
    mean = sum(means[1:], means[0]) / len(maps)
    parts = [v * s * s + ops.square(m - mean) for m, v, s in zip(means, variances, scales, strict=True)]
    return mean, sum(parts[1:], parts[0]) / len(maps)


@ops.custom_gradient
def map_moments(x: Tensor) -> Any:
    """Returns mean and variance over all axes but the first; the gradient is one multiplication and one addition.

    Args:
        x: Float tensor of shape (batch, heads, tokens, tokens).

    Returns:
        Float tensor of shape (2, batch, 1, 1, 1).
    """
    # Not `ops.moments`, which on PyTorch loses the precision of a variance that is small compared with the mean.
    mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=(1, 2, 3), keepdims=True)

    def gradient(*arguments: Tensor, upstream: Tensor | None = None) -> Tensor:
        of_mean, of_variance = ops.unstack(upstream_gradient(arguments, upstream) / math.prod(x.shape[1:]))
        slope = 2 * of_variance
        return x * slope + (of_mean - slope * mean)

    return ops.stack([mean, variance]), gradient


def _combine(kernel: Tensor, maps: Tensor) -> Tensor:
    """Multiplies kernel (heads, maps) by maps (..., maps, tokens, tokens) to (..., heads, tokens, tokens)."""
    *batch, num_maps, num_tokens, _ = ops.shape(maps)
    x = ops.reshape(maps, (*batch, num_maps, num_tokens**2))  # (..., maps, tokens * tokens)
    return ops.reshape(ops.matmul(kernel, x), (*batch, kernel.shape[0], num_tokens, num_tokens))
