"""The transformer encoder block and stochastic depth."""

import math

import keras
from keras import ops

from keras_cct.errors import InputError, check_count, check_rate
from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.grassmann import GrassmannAttention
from keras_cct.layers.initializers import normal
from keras_cct.layers.manifold import ManifoldAttention

MANIFOLDS_OF_TYPE = {
    "all": ("euclidean", "spd", "grassmann"),
    "gm": ("euclidean", "grassmann"),
    "spd": ("euclidean", "spd"),
}
ATTENTION_TYPES = ("softmax", *MANIFOLDS_OF_TYPE, "grassmann")


@keras.saving.register_keras_serializable("keras_cct")
class StochasticDepth(keras.layers.Layer):
    """Drops the whole sample, one decision each, and scales the kept ones by 1 / (1 - rate) while training.

    Args:
        rate: Probability to drop a sample, 0 to below 1.

    Call arguments:
        inputs: Float tensor of shape (batch, ...).

    Returns:
        Float tensor of the same shape.

    Reference: Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate = check_rate("rate", rate)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        noise_shape = (None,) + (1,) * (len(inputs.shape) - 1)
        return keras.random.dropout(inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("keras_cct")
class EncoderBlock(keras.layers.Layer):
    """Attention and an MLP, each added to its input.

    Not the textbook pre-norm block: the second sum starts from the normalized tokens.

        x = x + attention(attention_norm(x))
        x = mlp_norm(x)
        x = x + mlp(x)

    Args:
        num_heads: Attention heads; divides the width of the tokens.
        mlp_ratio: Hidden width of the MLP over the width of the tokens.
        dropout_rate: Dropout of projection and MLP, 0 to below 1.
        attention_dropout_rate: Dropout of the attention weights, 0 to below 1.
        stochastic_depth_rate: Probability to drop each of the two branches for a sample, 0 to below 1.
        attention_type: "softmax" (`SelfAttention`); "all", "gm" or "spd" (`ManifoldAttention` on all three manifolds,
            on the Euclidean and the Grassmann one, or on the Euclidean and the SPD one); or "grassmann"
            (`GrassmannAttention`).
        map_normalization: Whether a `ManifoldAttention` normalizes its maps.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim); with `return_attention_weights` a pair of it and the attention
        weights of shape (batch, heads, tokens, tokens).

    Raises:
        InputError: The attention type is unknown, or the attention does not fit the tokens.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.1, as its authors' code computes it.
    """

    def __init__(
        self,
        num_heads: int,
        mlp_ratio: float = 2.0,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.1,
        stochastic_depth_rate: float = 0.0,
        attention_type: str = "softmax",
        map_normalization: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if attention_type not in ATTENTION_TYPES:
            raise InputError(
                f"attention_type={attention_type!r} is unknown. Choose one of {', '.join(ATTENTION_TYPES)}."
            )
        self.num_heads = check_count("num_heads", num_heads)
        self.mlp_ratio = mlp_ratio
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        self.attention_dropout_rate = check_rate("attention_dropout_rate", attention_dropout_rate)
        self.stochastic_depth_rate = check_rate("stochastic_depth_rate", stochastic_depth_rate)
        self.attention_type = attention_type
        self.map_normalization = map_normalization

    def build(self, input_shape):
        dim = input_shape[-1]
        dtype = self.dtype_policy
        hidden_dim = int(dim * self.mlp_ratio)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype=dtype, name="attention_norm")
        self.attention = self._make_attention()
        self.mlp_norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype=dtype, name="mlp_norm")
        self.mlp_in = keras.layers.Dense(hidden_dim, kernel_initializer=normal(0.02), dtype=dtype, name="mlp_in")
        self.mlp_out = keras.layers.Dense(dim, kernel_initializer=normal(0.02), dtype=dtype, name="mlp_out")
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=dtype)
        self.stochastic_depth = StochasticDepth(self.stochastic_depth_rate, dtype=dtype)
        for layer in (self.attention_norm, self.attention, self.mlp_norm, self.mlp_in):
            layer.build(input_shape)
        self.mlp_out.build((*input_shape[:-1], hidden_dim))

    def _make_attention(self) -> SelfAttention:
        arguments = {
            "num_heads": self.num_heads,
            "attention_dropout_rate": self.attention_dropout_rate,
            "dropout_rate": self.dropout_rate,
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        if self.attention_type == "softmax":
            return SelfAttention(**arguments)
        if self.attention_type == "grassmann":
            return GrassmannAttention(**arguments)
        manifolds = MANIFOLDS_OF_TYPE[self.attention_type]
        return ManifoldAttention(manifolds=manifolds, map_normalization=self.map_normalization, **arguments)

    def call(self, tokens, training=None, return_attention_weights=False):
        x = self.attention_norm(tokens)
        if return_attention_weights:
            x, weights = self.attention(x, training=training, return_attention_weights=True)
        else:
            x = self.attention(x, training=training)
        x = tokens + self.stochastic_depth(x, training=training)
        x = self.mlp_norm(x)
        hidden = self.dropout(gelu(self.mlp_in(x)), training=training)  # (batch, tokens, hidden_dim)
        hidden = self.dropout(self.mlp_out(hidden), training=training)  # (batch, tokens, dim)
        x = x + self.stochastic_depth(hidden, training=training)
        return (x, weights) if return_attention_weights else x

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, tokens, training=None, return_attention_weights=False):
        return self.attention.compute_output_spec(tokens, training, return_attention_weights)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
            "stochastic_depth_rate": self.stochastic_depth_rate,
            "attention_type": self.attention_type,
            "map_normalization": self.map_normalization,
        }


def gelu(x):
    """Returns the exact GELU of a float tensor, through `erf`, which every exporter knows (Keras's own uses `erfc`)."""
    return 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5)))
