"""Attention on the Grassmann manifold, and tokens as observability matrices of linear dynamical systems."""

import math
from typing import Any

import keras

from keras_cct.errors import InputError, check_count
from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.composite import CompositeLayer
from keras_cct.layers.elementwise import LayerNormalization
from keras_cct.layers.linalg import SUPPORTS_JIT, eigenvectors, in_full_precision, pseudo_inverse
from keras_cct.layers.manifold import build_map_normalization, check_tokens_of_maps, token_basis
from keras_cct.layers.shapes import (
    Shape,
    Tensor,
    check_num_tokens,
    check_token_shape,
    check_weight_size,
    ops,
    reshape_samples,
    transposed,
)


@keras.saving.register_keras_serializable("keras_cct")
class GrassmannAttention(SelfAttention):
    """Multi-head self-attention that compares orthonormal bases of queries and keys.

    The score of tokens i and j is the sum of `(Q_q[i, c] Q_k[j, c]) ** 2` over the columns c of the two bases. The
    normalized scores are the attention weights, without a softmax. The normalization ties the layer to the number of
    tokens it was built for. Unlike in `SelfAttention`, the query, key and value projection has a bias.

    Args:
        num_heads: Number of heads; must divide `dim`.
        attention_dropout_rate: Dropout rate of the scores, in [0, 1).
        dropout_rate: Dropout rate of the output, in [0, 1).
        seed: Seed of the dropout layers; None selects a random seed.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim). With `return_attention_weights`, a pair of that tensor and the
        attention weights, of shape (batch, heads, tokens, tokens), one row per query.

    Raises:
        InputError: A value is out of range, `num_heads` does not divide `dim`, or the number of tokens differs from
            the one that the layer was built for.

    Reference: Konstantinidis et al. 2023, IEEE Access 11:123433, arXiv:2207.08569, as its code computes it.
    """

    has_query_key_value_bias = True

    def __init__(
        self,
        num_heads: int,
        attention_dropout_rate: float = 0.1,
        dropout_rate: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, attention_dropout_rate, dropout_rate, seed, **kwargs)
        self.supports_jit = SUPPORTS_JIT

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        num_tokens, dim = check_num_tokens(input_shape), check_token_shape(input_shape)
        # Unused in the manifold paper's code, but part of its PyTorch weights, which convert both ways.
        self.scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(1 / math.sqrt(dim // self.num_heads)),
            trainable=False,
            name="scale",
        )
        self.map_norm = build_map_normalization(self.num_heads, num_tokens, dtype=self.dtype_policy)

    def call(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        check_tokens_of_maps(self.map_norm, tokens.shape[1])
        query, key, value = self.split_heads(tokens)  # 3 x (batch, heads, tokens, head_dim)
        query, key = ops.square(token_basis(query)), ops.square(token_basis(key))
        scores = ops.matmul(query, transposed(key))  # (batch, heads, tokens, tokens)
        weights = self.map_norm(self.attention_dropout(scores, training=training))
        x = self.merge_heads(ops.matmul(weights, value))
        x = self.dropout(self.projection(x), training=training)
        return (x, weights) if return_attention_weights else x


@keras.saving.register_keras_serializable("keras_cct")
class ObservabilityTokens(CompositeLayer):
    """Replaces each token by the projected observability matrix of a linear dynamical system fitted to it.

    A normalized token of dimension D is interpreted as `num_signals` signals of D / num_signals time steps each, in
    reverse time order. C holds the principal directions of the centered signals, and A predicts their coordinates one
    time step ahead. The observability matrix [C, CA, CA, (CA)^2, ...] has `num_blocks` blocks. Its powers are
    elementwise and CA appears twice, as in the manifold paper's code.

    Args:
        num_signals: Number of signals, at least 1; must divide `dim`.
        num_blocks: Number of blocks of the observability matrix, at least 2.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).

    Returns:
        Float tensor of shape (batch, tokens, dim).

    Raises:
        InputError: A value is out of range, or `num_signals` does not divide `dim`.

    Reference: Konstantinidis et al. 2023, IEEE Access 11:123433, arXiv:2207.08569, as its code computes it.
    """

    def __init__(self, num_signals: int = 4, num_blocks: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_signals = check_count("num_signals", num_signals)
        self.num_blocks = check_count("num_blocks", num_blocks)
        if self.num_blocks < 2:
            raise InputError(f"num_blocks must be at least 2, got {num_blocks}.")
        self.supports_jit = SUPPORTS_JIT

    def build(self, input_shape: Shape) -> None:
        dim = check_token_shape(input_shape)
        if dim % self.num_signals:
            raise InputError(
                f"num_signals={self.num_signals} does not divide the token dimension {dim}. Use a divisor of it."
            )
        check_weight_size("projection", (self.num_blocks * self.num_signals**2, dim))
        self.norm = LayerNormalization(dtype=self.dtype_policy, name="norm")
        self.projection = self.make_dense(dim, "projection")
        self.norm.build(input_shape)
        self.projection.build((*input_shape[:-1], self.num_blocks * self.num_signals**2))

    def call(self, tokens: Tensor) -> Tensor:
        num_tokens, dim = tokens.shape[1:]
        x = in_full_precision(self.norm(tokens))
        x = reshape_samples(x, (num_tokens, dim // self.num_signals, self.num_signals))
        signals = ops.flip(transposed(x), -1)  # (batch, tokens, signals, time steps)
        x = observability_matrix(signals, self.num_blocks)  # (batch, tokens, signals, blocks * signals)
        x = reshape_samples(x, (num_tokens, self.num_blocks * self.num_signals**2))
        return self.projection(ops.cast(x, self.compute_dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "num_signals": self.num_signals, "num_blocks": self.num_blocks}


def observability_matrix(signals: Tensor, num_blocks: int) -> Tensor:
    """Returns [C, CA, (CA)^1, (CA)^2, ...] of the linear dynamical system fitted to signals, with elementwise powers.

    C holds the eigenvectors of `Y Y^T` for the centered signals Y. The manifold paper's code computes
    `CA = C (Z2 Z1^T) pinv(Z1 Z1^T)` with `Z = C^T Y`. C is orthogonal, so this equals the shorter
    `(Y2 Y1^T) pinv(Y1 Y1^T) C`.

    Args:
        signals: Float32 or float64 tensor of shape (..., signals, time steps).
        num_blocks: Number of blocks, at least 2.

    Returns:
        Float tensor of shape (..., signals, num_blocks * signals).
    """
    centered = signals - ops.mean(signals, axis=-1, keepdims=True)
    # The matrix does not depend on the scale of the signals, and the squares of tiny signals would underflow.
    largest = ops.stop_gradient(ops.max(ops.abs(centered), axis=(-1, -2), keepdims=True))
    centered = centered / ops.maximum(largest, 1e-6)
    before, after = centered[..., :-1], centered[..., 1:]
    directions = eigenvectors(ops.matmul(centered, transposed(centered)))  # (..., signals, signals)
    step = ops.matmul(ops.matmul(after, transposed(before)), pseudo_inverse(ops.matmul(before, transposed(before))))
    observed = ops.matmul(step, directions)  # (..., signals, signals)
    powers = [observed**power for power in range(1, num_blocks - 1)]
    return ops.concatenate([directions, observed, *powers], axis=-1)
