"""Multi-head softmax self-attention."""

import math
from typing import Any

import keras

from keras_cct.errors import InputError, check_count, check_rate
from keras_cct.layers.composite import CompositeLayer, check_seed, sublayer_seed
from keras_cct.layers.elementwise import Dropout
from keras_cct.layers.shapes import Shape, Tensor, check_token_shape, check_weight_size, ops


@keras.saving.register_keras_serializable("keras_cct")
class SelfAttention(CompositeLayer):
    """Multi-head softmax self-attention with one bias-free projection to queries, keys and values.

    Args:
        num_heads: Number of heads; must divide `dim`.
        attention_dropout_rate: Dropout rate of the attention weights, in [0, 1).
        dropout_rate: Dropout rate of the output, in [0, 1).
        seed: Seed of the dropout layers; None selects a random seed.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim). With `return_attention_weights`, a pair of that tensor and the
        attention weights before dropout, of shape (batch, heads, tokens, tokens): one row per query, which sums to 1.

    Raises:
        InputError: A value is out of range, or `num_heads` does not divide `dim`.

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    has_query_key_value_bias = False

    def __init__(
        self,
        num_heads: int,
        attention_dropout_rate: float = 0.1,
        dropout_rate: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)
        self.attention_dropout_rate = check_rate("attention_dropout_rate", attention_dropout_rate)
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        self.seed = check_seed(seed)

    def build(self, input_shape: Shape) -> None:
        dim = check_token_shape(input_shape)
        if dim % self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} does not divide the token dimension {dim}. Use a divisor of it."
            )
        check_weight_size("query, key and value kernel", (dim, 3 * dim))
        self.query_key_value = self.make_dense(3 * dim, "query_key_value", use_bias=self.has_query_key_value_bias)
        self.projection = self.make_dense(dim, "projection")
        self.attention_dropout = Dropout(
            self.attention_dropout_rate, seed=sublayer_seed(self.seed, 0), dtype=self.dtype_policy
        )
        self.dropout = Dropout(self.dropout_rate, seed=sublayer_seed(self.seed, 1), dtype=self.dtype_policy)
        self.query_key_value.build(input_shape)
        self.projection.build(input_shape)

    def call(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        drops_attention = bool(training) and self.attention_dropout_rate > 0
        weights = None
        if drops_attention or return_attention_weights:
            query, key, value = self.split_heads(tokens)
            keys_transposed = ops.transpose(key, (0, 1, 3, 2))  # (batch, heads, head_dim, tokens)
            # (batch, heads, tokens, tokens)
            scores = ops.matmul(query * (1 / math.sqrt(query.shape[-1])), keys_transposed)
            x, weights = self.attend(scores, value, training, return_attention_weights)
        else:
            # 3 x (batch, tokens, heads, head_dim)
            query, key, value = ops.unstack(self._query_key_value(tokens), axis=2)
            x = ops.dot_product_attention(query, key, value)  # (batch, tokens, heads, head_dim)
            x = ops.reshape(x, ops.shape(tokens))  # (batch, tokens, dim)
        x = self.dropout(self.projection(x), training=training)
        return x if weights is None else (x, weights)

    def attend(
        self, scores: Tensor, value: Tensor, training: bool | None, return_attention_weights: bool
    ) -> tuple[Tensor, Any]:
        """Returns the values weighted by the softmax of the scores, with dropout, and on request the weights.

        Args:
            scores: Float tensor of shape (batch, heads, tokens, tokens).
            value: Float tensor of shape (batch, heads, tokens, head_dim).
            training: Whether to apply dropout.
            return_attention_weights: Whether to return the weights before dropout, instead of None.

        Returns:
            Float tensor of shape (batch, tokens, dim), and the weights.
        """
        weights = None
        if training and not return_attention_weights:
            dropped = ops.cast(self.attention_dropout.of_softmax(scores), value.dtype)
        else:
            weights = ops.cast(ops.softmax(scores), value.dtype)
            dropped = self.attention_dropout(weights, training=training)
        return self.merge_heads(ops.matmul(dropped, value)), weights

    def split_heads(self, tokens: Tensor) -> list[Tensor]:
        """Returns queries, keys and values, each of shape (batch, heads, tokens, head_dim)."""
        return ops.unstack(ops.transpose(self._query_key_value(tokens), (2, 0, 3, 1, 4)))

    def merge_heads(self, x: Tensor) -> Tensor:
        """Reshapes (batch, heads, tokens, head_dim) to (batch, tokens, dim)."""
        batch, num_heads, num_tokens, head_dim = ops.shape(x)
        x = ops.transpose(x, (0, 2, 1, 3))  # (batch, tokens, heads, head_dim)
        return ops.reshape(x, (batch, num_tokens, num_heads * head_dim))  # (batch, tokens, dim)

    def _query_key_value(self, tokens: Tensor) -> Tensor:
        batch, num_tokens, dim = ops.shape(tokens)
        x = self.query_key_value(tokens)  # (batch, tokens, 3 * dim)
        # (batch, tokens, 3, heads, head_dim)
        return ops.reshape(x, (batch, num_tokens, 3, self.num_heads, dim // self.num_heads))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        batch, num_tokens, _ = tokens.shape
        output = keras.KerasTensor(tokens.shape, self.compute_dtype)
        weights = keras.KerasTensor((batch, self.num_heads, num_tokens, num_tokens), self.compute_dtype)
        return (output, weights) if return_attention_weights else output

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout_rate": self.attention_dropout_rate,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
        }
