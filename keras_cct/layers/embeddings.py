"""Layers that add to the tokens what they do not know themselves: a class token and their position."""

import keras
import numpy as np
from keras import ops

from keras_cct.errors import InputError
from keras_cct.layers.initializers import normal


@keras.saving.register_keras_serializable("keras_cct")
class ClassToken(keras.layers.Layer):
    """Puts one learned token, zero at first, before the others.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).

    Returns:
        Float tensor of shape (batch, 1 + tokens, dim).

    Reference: Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1.
    """

    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, tokens):
        class_tokens = ops.broadcast_to(self.token, (ops.shape(tokens)[0], 1, tokens.shape[-1]))  # (batch, 1, dim)
        return ops.concatenate([ops.cast(class_tokens, tokens.dtype), tokens], axis=1)

    def compute_output_shape(self, input_shape):
        batch, num_tokens, dim = input_shape
        return (batch, num_tokens + 1, dim)


@keras.saving.register_keras_serializable("keras_cct")
class PositionEmbedding(keras.layers.Layer):
    """Adds one vector per position to the tokens.

    Args:
        kind: "learnable" (normal with standard deviation 0.2 at first) or "sine" (fixed; held as a weight that does
            not train, so that it is saved and converted with the others).

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).

    Returns:
        Float tensor of shape (batch, tokens, dim).

    Raises:
        InputError: The kind is unknown.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.3; for "sine" Vaswani et al. 2017,
    arXiv:1706.03762, section 3.5.
    """

    KINDS = ("learnable", "sine")

    def __init__(self, kind: str = "learnable", **kwargs):
        super().__init__(**kwargs)
        if kind not in self.KINDS:
            raise InputError(f"kind={kind!r} of PositionEmbedding is unknown. Choose one of {', '.join(self.KINDS)}.")
        self.kind = kind

    def build(self, input_shape):
        _, num_tokens, dim = input_shape
        self.embedding = self.add_weight(
            shape=(1, num_tokens, dim),
            initializer=normal(0.2) if self.kind == "learnable" else _sine_initializer,
            trainable=self.kind == "learnable",
            name="embedding",
        )

    def call(self, tokens):
        return tokens + ops.cast(self.embedding, tokens.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def sine_embedding(num_tokens: int, dim: int) -> np.ndarray:
    """Returns the fixed table: sine in even columns, cosine in odd ones.

    Args:
        num_tokens: Number of positions, the class token's included.
        dim: Width of the tokens.

    Returns:
        Float32 array of shape (1, num_tokens, dim).
    """
    columns = np.arange(dim)
    angles = np.arange(num_tokens)[:, None] / 10000 ** (2 * (columns // 2) / dim)  # (tokens, dim)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))[None].astype("float32")


def _sine_initializer(shape, dtype=None):
    return ops.convert_to_tensor(sine_embedding(shape[1], shape[2]), dtype=dtype)
