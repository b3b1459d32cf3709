"""Softmax attention whose scores mix similarities on several manifolds."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_cct.errors import InputError
from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.linalg import (
    SUPPORTS_JIT,
    in_full_precision,
    orthonormal_basis,
    upstream_gradient,
    warn_of_deadlock,
)


def euclidean_scores(query, key):
    """Returns the inner products of queries and keys.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.matmul(query, _transpose(key))  # (..., tokens, tokens)


def spd_scores(query, key):
    """Returns the magnitudes of the product of the tokens' two covariance matrices, points of the SPD manifold.

    A constant added to a token changes nothing. The product is taken through the small (head_dim, head_dim) matrix in
    the middle; the covariance matrices themselves are never made.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    query = query - ops.mean(query, axis=-1, keepdims=True)
    key = key - ops.mean(key, axis=-1, keepdims=True)
    middle = ops.matmul(_transpose(query), key) * (query.shape[-1] - 1) ** -2  # (..., head_dim, head_dim)
    return ops.abs(ops.matmul(ops.matmul(query, middle), _transpose(key)))  # (..., tokens, tokens)


def grassmann_scores(query, key):
    """Returns the squared inner products of the rows of two orthonormal bases, points of the Grassmann manifold.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.square(ops.matmul(token_basis(query), _transpose(token_basis(key))))  # (..., tokens, tokens)


def token_basis(x):
    """Returns the orthonormal basis of what the columns of the tokens span, computed in full precision.

    Args:
        x: Float tensor of shape (..., tokens, head_dim).

    Returns:
        Float tensor of shape (..., tokens, min(tokens, head_dim)).
    """
    rank = min(x.shape[-2:])
    return ops.cast(orthonormal_basis(in_full_precision(x[..., :rank])), x.dtype)


def _transpose(x):
    return ops.swapaxes(x, -1, -2)


def map_norm(num_maps: int, num_tokens: int, dtype: keras.DTypePolicy) -> keras.layers.LayerNormalization:
    """Returns a built layer normalization over all entries of all maps of a sample.

    Args:
        num_maps: Number of maps.
        num_tokens: Rows and columns of a map.
        dtype: Precision.
    """
    norm = keras.layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-5, dtype=dtype, name="map_norm")
    norm.build((None, num_maps, num_tokens, num_tokens))
    return norm


def check_num_tokens(norm: keras.layers.LayerNormalization, num_tokens: int) -> None:
    """Refuses another number of tokens than the normalization of the maps was built for.

    Raises:
        InputError: The number is another.
    """
    built_for = norm.gamma.shape[-1]
    if num_tokens != built_for:
        raise InputError(
            f"{num_tokens} tokens do not fit an attention whose map normalization was built for {built_for}. "
            f"Such a model is tied to one image size: make another for this one."
        )


_SCORES = {"euclidean": euclidean_scores, "spd": spd_scores, "grassmann": grassmann_scores}


@keras.saving.register_keras_serializable("keras_cct")
class ManifoldAttention(SelfAttention):
    """Multi-head self-attention that compares queries and keys on several manifolds.

    Each manifold gives one map per head, times a learned number. A learned combination of all maps of all heads, one
    for each head, then takes the place of the scores. The projection to queries, keys and values has a bias here.

    Args:
        num_heads: Number of heads; divides the width of the tokens.
        manifolds: Which of "euclidean", "spd" and "grassmann" to use, at least one.
        map_normalization: Whether all maps together pass a layer normalization before they are combined. Its weights,
            one gain and one bias for each entry, tie the layer to the number of tokens it was built for.
        attention_dropout_rate: Dropout of the attention weights, 0 to below 1; with all three manifolds also of the
            SPD map.
        dropout_rate: Dropout of the output, 0 to below 1.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim); with `return_attention_weights` a pair of it and the weights before
        dropout, of shape (batch, heads, tokens, tokens): one row per query, each row sums to 1.

    Raises:
        InputError: A manifold is unknown, `num_heads` does not divide the width or leaves the SPD map heads of one
            number, or the number of tokens is not the one that the normalization was built for.

    Reference: Konstantinidis et al. 2023, IEEE Access 11:123433, arXiv:2207.08569, as its authors' code computes it.
    """

    MANIFOLDS = tuple(_SCORES)
    has_query_key_value_bias = True

    def __init__(
        self,
        num_heads: int,
        manifolds: Sequence[str] = MANIFOLDS,
        map_normalization: bool = True,
        attention_dropout_rate: float = 0.1,
        dropout_rate: float = 0.0,
        **kwargs,
    ):
        super().__init__(num_heads, attention_dropout_rate, dropout_rate, **kwargs)
        names = manifolds if isinstance(manifolds, (list, tuple)) else ()
        if not names or not all(name in self.MANIFOLDS for name in names):
            raise InputError(f"manifolds={manifolds!r} is not allowed. Give some of {', '.join(self.MANIFOLDS)}.")
        self.manifolds = [name for name in self.MANIFOLDS if name in manifolds]
        self.map_normalization = map_normalization
        self.supports_jit = SUPPORTS_JIT or "grassmann" not in self.manifolds
        if "grassmann" in self.manifolds:
            warn_of_deadlock()

    def build(self, input_shape):
        super().build(input_shape)
        _, num_tokens, dim = input_shape
        if "spd" in self.manifolds and dim == self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} leaves each head one number of a width of {dim}, which has no covariance. "
                f"Give fewer heads."
            )
        num_maps = len(self.manifolds) * self.num_heads
        initial_scale = keras.initializers.Constant(1 / math.sqrt(dim // self.num_heads))
        self.scales = [
            self.add_weight(shape=(), initializer=initial_scale, name=f"{name}_scale") for name in self.manifolds
        ]
        if self.map_normalization:
            self.map_norm = map_norm(num_maps, num_tokens, dtype=self.dtype_policy)
        # PyTorch's initial values of a convolution, which the original leaves as they are.
        uniform = keras.initializers.RandomUniform(-1 / math.sqrt(num_maps), 1 / math.sqrt(num_maps))
        kernel_shape = (1, 1, num_maps, self.num_heads)
        self.mix_kernel = self.add_weight(shape=kernel_shape, initializer=uniform, name="mix_kernel")
        self.mix_bias = self.add_weight(shape=(self.num_heads,), initializer=uniform.clone(), name="mix_bias")

    def call(self, tokens, training=None, return_attention_weights=False):
        if self.map_normalization:
            check_num_tokens(self.map_norm, tokens.shape[1])
        query, key, value = self.split_heads(tokens)  # 3 x (batch, heads, tokens, head_dim)
        maps = self._maps(query, key)
        if len(maps) == len(self.MANIFOLDS):
            maps["spd"] = self.attention_dropout(maps["spd"], training=training)
        weights = ops.cast(ops.softmax(self._mix(list(maps.values()))), query.dtype)
        x = self.merge_heads(ops.matmul(self.attention_dropout(weights, training=training), value))
        x = self.dropout(self.projection(x), training=training)
        return (x, weights) if return_attention_weights else x

    def manifold_maps(self, tokens) -> dict:
        """Returns the map of each manifold, before normalization and combination.

        Args:
            tokens: Float tensor of shape (batch, tokens, dim).

        Returns:
            Names of manifolds to float tensors of shape (batch, heads, tokens, tokens).
        """
        query, key, _ = self.split_heads(tokens)
        maps = self._maps(query, key)
        return {
            name: maps[name] * ops.cast(scale, query.dtype)
            for name, scale in zip(self.manifolds, self.scales, strict=True)
        }

    def _maps(self, query, key) -> dict:
        return {name: _SCORES[name](query, key) for name in self.manifolds}

    def _mix(self, maps: list):
        """Scales, normalizes and combines maps of shape (batch, heads, tokens, tokens) to one of that shape.

        The maps are many times the size of everything else, so each is read as rarely as can be: the scales go into the
        kernel, and mean and deviation of the normalization are taken off the combination instead of the maps.
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

    def get_config(self):
        return {**super().get_config(), "manifolds": self.manifolds, "map_normalization": self.map_normalization}


def _moments(maps: list, scales: list):
    """Returns mean and variance over all entries of all scaled maps of a sample, each of shape (batch, 1, 1, 1).

    The variance is that within the maps and that between their means, so no map is scaled or centered as a whole.
    """
    means, variances = zip(*(ops.unstack(map_moments(m)) for m in maps), strict=True)
    means = [mean * scale for mean, scale in zip(means, scales, strict=True)]
    mean = sum(means[1:], means[0]) / len(maps)
    parts = [v * s * s + ops.square(m - mean) for m, v, s in zip(means, variances, scales, strict=True)]
    return mean, sum(parts[1:], parts[0]) / len(maps)


@ops.custom_gradient
def map_moments(x):
    """Returns mean and variance of all but the first axis, with a gradient in one multiplication and one addition.

    Args:
        x: Float tensor of shape (batch, heads, tokens, tokens).

    Returns:
        Float tensor of shape (2, batch, 1, 1, 1).
    """
    # Not `ops.moments`, which under PyTorch loses a variance that is small beside the mean.
    mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=(1, 2, 3), keepdims=True)

    def gradient(*arguments, upstream=None):
        of_mean, of_variance = ops.unstack(upstream_gradient(arguments, upstream) / math.prod(x.shape[1:]))
        slope = 2 * of_variance
        return x * slope + (of_mean - slope * mean)

    return ops.stack([mean, variance]), gradient


def _combine(kernel, maps):
    """Returns kernel (heads, maps) times maps (..., maps, tokens, tokens) as (..., heads, tokens, tokens)."""
    num_tokens = maps.shape[-1]
    batch = maps.shape[:-3] and (-1,)
    x = ops.reshape(maps, (*batch, maps.shape[-3], num_tokens**2))  # (..., maps, tokens * tokens)
    return ops.reshape(ops.matmul(kernel, x), (*batch, kernel.shape[0], num_tokens, num_tokens))
