"""Softmax attention of the tokens on each other."""

import math

import keras
from keras import ops

from keras_cct.errors import InputError, check_count, check_rate
from keras_cct.layers.initializers import normal


@keras.saving.register_keras_serializable("keras_cct")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention with one projection, without bias, to queries, keys and values.

    Args:
        num_heads: Number of heads; divides the width of the tokens.
        attention_dropout_rate: Dropout of the attention weights, 0 to below 1.
        dropout_rate: Dropout of the output, 0 to below 1.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim); with `return_attention_weights` a pair of it and the weights before
        dropout, of shape (batch, heads, tokens, tokens): one row per query, each row sums to 1.

    Raises:
        InputError: `num_heads` does not divide the width.

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    has_query_key_value_bias = False

    def __init__(self, num_heads: int, attention_dropout_rate: float = 0.1, dropout_rate: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)
        self.attention_dropout_rate = check_rate("attention_dropout_rate", attention_dropout_rate)
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)

    def build(self, input_shape):
        dim = input_shape[-1]
        if dim % self.num_heads:
            raise InputError(f"num_heads={self.num_heads} does not divide the width of the tokens, {dim}.")
        self.query_key_value = keras.layers.Dense(
            3 * dim,
            use_bias=self.has_query_key_value_bias,
            kernel_initializer=normal(0.02),
            dtype=self.dtype_policy,
            name="query_key_value",
        )
        self.projection = keras.layers.Dense(
            dim, kernel_initializer=normal(0.02), dtype=self.dtype_policy, name="projection"
        )
        self.attention_dropout = keras.layers.Dropout(self.attention_dropout_rate, dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        self.query_key_value.build(input_shape)
        self.projection.build(input_shape)

    def call(self, tokens, training=None, return_attention_weights=False):
        drops_attention = bool(training) and self.attention_dropout_rate > 0
        if drops_attention or return_attention_weights:
            query, key, value = self.split_heads(tokens)
            keys_transposed = ops.transpose(key, (0, 1, 3, 2))  # (batch, heads, head_dim, tokens)
            scores = ops.matmul(
                query * (1 / math.sqrt(query.shape[-1])), keys_transposed
            )  # (batch, heads, tokens, tokens)
            weights = ops.softmax(scores)
            x = self.merge_heads(ops.matmul(self.attention_dropout(weights, training=training), value))
        else:
            query, key, value = ops.unstack(self._project(tokens), axis=2)  # 3 x (batch, tokens, heads, head_dim)
            x = ops.dot_product_attention(query, key, value)  # (batch, tokens, heads, head_dim)
            x = ops.reshape(x, (-1, *tokens.shape[1:]))  # (batch, tokens, dim)
        x = self.dropout(self.projection(x), training=training)
        return (x, weights) if return_attention_weights else x

    def split_heads(self, tokens):
        """Returns queries, keys and values, each of shape (batch, heads, tokens, head_dim)."""
        return ops.unstack(ops.transpose(self._project(tokens), (2, 0, 3, 1, 4)))

    def merge_heads(self, x):
        """Returns (batch, heads, tokens, head_dim) as (batch, tokens, dim)."""
        _, num_heads, num_tokens, head_dim = x.shape
        x = ops.transpose(x, (0, 2, 1, 3))  # (batch, tokens, heads, head_dim)
        return ops.reshape(x, (-1, num_tokens, num_heads * head_dim))  # (batch, tokens, dim)

    def _project(self, tokens):
        num_tokens, dim = tokens.shape[1:]
        x = self.query_key_value(tokens)
        return ops.reshape(x, (-1, num_tokens, 3, self.num_heads, dim // self.num_heads))  # (..., heads, head_dim)

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, tokens, training=None, return_attention_weights=False):
        batch, num_tokens, _ = tokens.shape
        output = keras.KerasTensor(tokens.shape, self.compute_dtype)
        weights = keras.KerasTensor((batch, self.num_heads, num_tokens, num_tokens), self.compute_dtype)
        return (output, weights) if return_attention_weights else output

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "attention_dropout_rate": self.attention_dropout_rate,
            "dropout_rate": self.dropout_rate,
        }
