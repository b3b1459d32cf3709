"""Attention by the projection kernel of the Grassmann manifold, without softmax."""

import math

import keras
from keras import ops

from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.factorizations import SUPPORTS_JIT, warn_of_deadlock
from keras_cct.layers.manifold_scores import token_basis
from keras_cct.layers.map_norm import check_num_tokens, map_norm


@keras.saving.register_keras_serializable("keras_cct")
class GrassmannAttention(SelfAttention):
    """Multi-head self-attention that compares orthonormal bases of queries and keys.

    The score of tokens i and j sums `(Q_q[i, c] Q_k[j, c]) ** 2` over the columns c of the two bases. The normalized
    scores are the weights as they are, without softmax; the normalization ties the layer to the number of tokens it was
    built for. The projection to queries, keys and values has a bias here.

    Args:
        num_heads: Number of heads; divides the width of the tokens.
        attention_dropout_rate: Dropout of the scores, 0 to below 1.
        dropout_rate: Dropout of the output, 0 to below 1.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim); with `return_attention_weights` a pair of it and the weights, of
        shape (batch, heads, tokens, tokens), one row per query.

    Raises:
        InputError: `num_heads` does not divide the width, or the number of tokens is another than at first.

    Reference: Konstantinidis et al. 2023, IEEE Access 11:123433, arXiv:2207.08569, as its authors' code computes it.
    """

    has_query_key_value_bias = True

    def __init__(self, num_heads: int, attention_dropout_rate: float = 0.1, dropout_rate: float = 0.0, **kwargs):
        super().__init__(num_heads, attention_dropout_rate, dropout_rate, **kwargs)
        self.supports_jit = SUPPORTS_JIT
        warn_of_deadlock()

    def build(self, input_shape):
        super().build(input_shape)
        _, num_tokens, dim = input_shape
        # The original has this number and uses it nowhere; here it only travels with the PyTorch weights.
        self.scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(1 / math.sqrt(dim // self.num_heads)),
            trainable=False,
            name="scale",
        )
        self.map_norm = map_norm(self.num_heads, num_tokens, dtype=self.dtype_policy)

    def call(self, tokens, training=None, return_attention_weights=False):
        check_num_tokens(self.map_norm, tokens.shape[1])
        query, key, value = self.split_heads(tokens)  # 3 x (batch, heads, tokens, head_dim)
        query, key = ops.square(token_basis(query)), ops.square(token_basis(key))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (batch, heads, tokens, tokens)
        weights = self.map_norm(self.attention_dropout(scores, training=training))
        x = self.merge_heads(ops.matmul(weights, value))
        x = self.dropout(self.projection(x), training=training)
        return (x, weights) if return_attention_weights else x
