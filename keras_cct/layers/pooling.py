"""Layers that pool the tokens of an image into one feature vector."""

import keras
from keras import ops

from keras_cct.layers.initializers import normal


@keras.saving.register_keras_serializable("keras_cct")
class SequencePool(keras.layers.Layer):
    """Pools the tokens with learned weights.

    Replaces the class token: each token gets a score, and a softmax over the tokens turns scores into weights.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).

    Returns:
        Float tensor of shape (batch, dim).

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.2 (SeqPool).
    """

    def build(self, input_shape):
        self.score = keras.layers.Dense(1, kernel_initializer=normal(0.02), dtype=self.dtype_policy, name="score")
        self.score.build(input_shape)

    def call(self, tokens):
        scores = self.score(tokens)  # (batch, tokens, 1)
        weights = ops.transpose(ops.softmax(scores, axis=1), (0, 2, 1))  # (batch, 1, tokens)
        return ops.squeeze(ops.matmul(weights, tokens), axis=1)  # (batch, dim)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable("keras_cct")
class ClassTokenPool(keras.layers.Layer):
    """Takes the class token, the first one, as the feature vector.

    Call arguments:
        tokens: Float tensor of shape (batch, 1 + tokens, dim).

    Returns:
        Float tensor of shape (batch, dim).

    Reference: Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1.
    """

    def call(self, tokens):
        return tokens[:, 0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])
