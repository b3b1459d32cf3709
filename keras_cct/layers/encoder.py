"""The transformer encoder block and stochastic depth."""

from typing import Any

import keras

from keras_cct.errors import InputError, check_choice, check_count, check_positive, check_rate
from keras_cct.facts.attention import ATTENTION_TYPES, MANIFOLDS_OF_TYPE, standard_attention_type
from keras_cct.layers.attention import SelfAttention
from keras_cct.layers.composite import CompositeLayer, check_seed, sublayer_seed
from keras_cct.layers.elementwise import Dropout, LayerNormalization, gelu
from keras_cct.layers.grassmann import GrassmannAttention
from keras_cct.layers.manifold import ManifoldAttention
from keras_cct.layers.recomputation import with_recomputation
from keras_cct.layers.shapes import Shape, Tensor, check_token_shape, check_weight_size, ops, random


@keras.saving.register_keras_serializable("keras_cct")
class StochasticDepth(keras.layers.Layer):
    """Drops whole samples of a residual branch during training and scales the others by 1 / (1 - rate).

    Args:
        rate: Probability of dropping a sample, in [0, 1).
        seed: Random seed; None selects one at random.

    Call arguments:
        inputs: Float tensor of shape (batch, ...).

    Returns:
        Float tensor of the same shape.

    Raises:
        InputError: A value is out of range.

    Reference: Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = check_rate("rate", rate)
        self.seed = check_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        ones = ops.ones((ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1), dtype=inputs.dtype)
        return inputs * random.dropout(ones, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable("keras_cct")
class EncoderBlock(CompositeLayer):
    """Self-attention and an MLP, each with a residual connection.

    Not the textbook pre-norm block: the residual connection of the MLP starts from the normalized tokens.

        x = x + attention(attention_norm(x))
        x = mlp_norm(x)
        x = x + mlp(x)

    Args:
        num_heads: Number of attention heads; must divide `dim`.
        mlp_ratio: Hidden dimension of the MLP divided by `dim`, above 0.
        dropout_rate: Dropout rate of the attention output and of both MLP layers, in [0, 1).
        attention_dropout_rate: Dropout rate of the attention weights, in [0, 1).
        stochastic_depth_rate: Probability of dropping each of the two residual branches for a sample, in [0, 1).
        attention_type: "softmax" (`SelfAttention`); "all", "gm" or "spd" (`ManifoldAttention` on all three manifolds,
            on the Euclidean and the Grassmann manifold, or on the Euclidean and the SPD manifold); or "grassmann"
            (`GrassmannAttention`).
        map_normalization: Whether `ManifoldAttention` normalizes its similarity maps; no effect with other types.
        seed: Seed of dropout and stochastic depth; None selects a random seed.

    Attributes:
        checkpoints_activations: Whether training keeps only the input of the block and computes its activations again
            in the backward pass: less memory, more time, the same gradients. False by default, not saved with the
            model, and to be set before the model is compiled.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        return_attention_weights: Whether to return the attention weights too.

    Returns:
        Float tensor of shape (batch, tokens, dim). With `return_attention_weights`, a pair of that tensor and the
        attention weights of shape (batch, heads, tokens, tokens).

    Raises:
        InputError: A value is unknown or out of range, or not possible with this number or dimension of tokens.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.1, as the reference implementation computes it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the arguments are the config of the layer
        self,
        num_heads: int,
        mlp_ratio: float = 2.0,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.1,
        stochastic_depth_rate: float = 0.0,
        attention_type: str = "softmax",
        map_normalization: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)
        self.mlp_ratio = check_positive("mlp_ratio", mlp_ratio)
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        self.attention_dropout_rate = check_rate("attention_dropout_rate", attention_dropout_rate)
        self.stochastic_depth_rate = check_rate("stochastic_depth_rate", stochastic_depth_rate)
        self.attention_type = standard_attention_type(attention_type)
        check_choice("attention_type", self.attention_type, ATTENTION_TYPES)
        check_choice("map_normalization", map_normalization, (True, False))
        self.map_normalization = map_normalization
        self.seed = check_seed(seed)
        self.checkpoints_activations = False

    def build(self, input_shape: Shape) -> None:
        dim = check_token_shape(input_shape)
        hidden_dim = int(dim * self.mlp_ratio)
        if hidden_dim < 1:
            raise InputError(
                f"mlp_ratio={self.mlp_ratio} leaves no hidden units for the token dimension {dim}. Increase it."
            )
        check_weight_size("MLP kernel", (dim, hidden_dim))
        dtype = self.dtype_policy
        self.attention_norm = LayerNormalization(dtype=dtype, name="attention_norm")
        self.attention = self._make_attention()
        self.mlp_norm = LayerNormalization(dtype=dtype, name="mlp_norm")
        self.mlp_in = self.make_dense(hidden_dim, "mlp_in")
        self.mlp_out = self.make_dense(dim, "mlp_out")
        self.dropout = Dropout(self.dropout_rate, seed=sublayer_seed(self.seed, 2), dtype=dtype)
        self.stochastic_depth = StochasticDepth(
            self.stochastic_depth_rate, seed=sublayer_seed(self.seed, 3), dtype=dtype
        )
        for layer in (self.attention_norm, self.attention, self.mlp_norm, self.mlp_in, self.stochastic_depth):
            layer.build(input_shape)
        self.mlp_out.build((*input_shape[:-1], hidden_dim))

    def _make_attention(self) -> SelfAttention:
        arguments = {
            "num_heads": self.num_heads,
            "attention_dropout_rate": self.attention_dropout_rate,
            "dropout_rate": self.dropout_rate,
            "seed": self.seed,
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        if self.attention_type == "softmax":
            attention = SelfAttention(**arguments)
        elif self.attention_type == "grassmann":
            attention = GrassmannAttention(**arguments)
        else:
            manifolds = MANIFOLDS_OF_TYPE[self.attention_type]
            attention = ManifoldAttention(manifolds=manifolds, map_normalization=self.map_normalization, **arguments)
        attention.quantized_sublayers = self.quantized_sublayers
        return attention

    def call(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        if training and self.checkpoints_activations and not return_attention_weights:
            return with_recomputation(self, lambda inputs: self._transform(inputs, True, False), tokens)
        return self._transform(tokens, training, return_attention_weights)

    def _transform(self, tokens: Tensor, training: bool | None, return_attention_weights: bool) -> Any:
        x, weights = self.attention_norm(tokens, training=training), None
        if return_attention_weights:
            x, weights = self.attention(x, training=training, return_attention_weights=True)
        else:
            x = self.attention(x, training=training)
        x = tokens + self.stochastic_depth(x, training=training)
        x = self.mlp_norm(x, training=training)
        hidden = self.dropout(gelu(self.mlp_in(x), training), training=training)  # (batch, tokens, hidden_dim)
        hidden = self.dropout(self.mlp_out(hidden), training=training)  # (batch, tokens, dim)
        x = x + self.stochastic_depth(hidden, training=training)
        return x if weights is None else (x, weights)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(
        self, tokens: Tensor, training: bool | None = None, return_attention_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        return self.attention.compute_output_spec(tokens, training, return_attention_weights)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "dropout_rate": self.dropout_rate,
            "attention_dropout_rate": self.attention_dropout_rate,
            "stochastic_depth_rate": self.stochastic_depth_rate,
            "attention_type": self.attention_type,
            "map_normalization": self.map_normalization,
            "seed": self.seed,
        }
