"""Class token and position embeddings."""

from typing import Any, Self

import keras

from keras_cct.errors import InputError, check_choice
from keras_cct.layers.initializers import normal, sine
from keras_cct.layers.shapes import Shape, Tensor, check_num_tokens, check_token_shape, check_weight_size, ops


@keras.saving.register_keras_serializable("keras_cct")
class ClassToken(keras.layers.Layer):
    """Prepends one learned token, initialized with zeros.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).

    Returns:
        Float tensor of shape (batch, 1 + tokens, dim).

    Raises:
        InputError: The tokens do not have three dimensions.

    Reference: Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1.
    """

    def build(self, input_shape: Shape) -> None:
        dim = check_token_shape(input_shape)
        self.token = self.add_weight(shape=(1, 1, dim), initializer="zeros", name="token")

    def call(self, tokens: Tensor) -> Tensor:
        class_tokens = ops.broadcast_to(self.token, (ops.shape(tokens)[0], 1, tokens.shape[-1]))  # (batch, 1, dim)
        return ops.concatenate([ops.cast(class_tokens, tokens.dtype), tokens], axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, num_tokens, dim = input_shape
        return (batch, None if num_tokens is None else num_tokens + 1, dim)


@keras.saving.register_keras_serializable("keras_cct")
class PositionEmbedding(keras.layers.Layer):
    """Adds one vector per position to the tokens.

    Args:
        embedding_type: "learnable" (initialized with standard deviation 0.2) or "sine" (fixed; stored as a
            non-trainable weight, so that it is saved and converted like the learnable one).

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim), with the number of tokens that the layer was built for.

    Returns:
        Float tensor of shape (batch, tokens, dim).

    Raises:
        InputError: The type is unknown, or the number of tokens is unknown or differs from the one in `build`.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.3; for "sine" Vaswani et al. 2017,
    arXiv:1706.03762, section 3.5.
    """

    EMBEDDING_TYPES = ("learnable", "sine")

    def __init__(self, embedding_type: str = "learnable", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice("embedding_type", embedding_type, self.EMBEDDING_TYPES)
        self.embedding_type = embedding_type

    def build(self, input_shape: Shape) -> None:
        dim = check_token_shape(input_shape)
        num_tokens = check_num_tokens(input_shape)
        check_weight_size("position embedding", (num_tokens, dim))
        self.embedding = self.add_weight(
            shape=(1, num_tokens, dim),
            initializer=normal(0.2) if self.embedding_type == "learnable" else sine,
            trainable=self.embedding_type == "learnable",
            name="embedding",
        )

    def call(self, tokens: Tensor) -> Tensor:
        num_positions = self.embedding.shape[1]
        if tokens.shape[1] not in (None, num_positions):
            raise InputError(
                f"got {tokens.shape[1]} tokens for a position embedding of {num_positions} positions. "
                f"Use images of the size that the model was built for, with a batch dimension."
            )
        return tokens + ops.cast(self.embedding, tokens.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "embedding_type": self.embedding_type}

    @classmethod
    def from_config(cls, config: dict) -> Self:
        config = dict(config)
        if "kind" in config:  # the name of the argument in models saved by version 0.1.0
            config["embedding_type"] = config.pop("kind")
        return super().from_config(config)
