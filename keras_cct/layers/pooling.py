"""Tokens back in the place they have in the image."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_cct.errors import InputError, check_class_names, check_count
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


@keras.saving.register_keras_serializable("keras_cct")
class ClassifierHead(keras.layers.Layer):
    """A linear layer that carries the class names, so that a saved model can name what it sees.

    Args:
        num_classes: Number of logits.
        class_names: Names in the order of the logits, or None where they are not known.

    Call arguments:
        features: Float tensor of shape (batch, dim).

    Returns:
        Logits: float tensor of shape (batch, num_classes).

    Raises:
        InputError: There is not one name per class.
    """

    def __init__(self, num_classes: int, class_names: Sequence[str] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = check_count("num_classes", num_classes)
        self.class_names = None if class_names is None else check_class_names(class_names, num_classes)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.num_classes), initializer=normal(0.02), name="kernel"
        )
        self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def call(self, features):
        return ops.matmul(features, self.kernel) + self.bias  # (batch, classes)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "class_names": self.class_names}


@keras.saving.register_keras_serializable("keras_cct")
class TokenGrid(keras.layers.Layer):
    """Arranges tokens in the rows and columns that they come from, without the class token.

    Args:
        rows: Rows of tokens.
        columns: Columns of tokens.

    Call arguments:
        tokens: Float tensor of shape (batch, rows * columns, dim), or with a class token before the others.

    Returns:
        Float tensor of shape (batch, rows, columns, dim).

    Raises:
        InputError: The number of tokens is another one.
    """

    def __init__(self, rows: int, columns: int, **kwargs):
        super().__init__(**kwargs)
        self.rows = check_count("rows", rows)
        self.columns = check_count("columns", columns)

    def build(self, input_shape):
        num_extra = input_shape[1] - self.rows * self.columns
        if num_extra not in (0, 1):
            raise InputError(
                f"{input_shape[1]} tokens do not fill a grid of {self.rows}x{self.columns}. "
                f"Give the rows and columns of the tokenizer."
            )
        self.has_class_token = num_extra == 1

    def call(self, tokens):
        tokens = tokens[:, 1:] if self.has_class_token else tokens
        return ops.reshape(tokens, (-1, self.rows, self.columns, tokens.shape[-1]))  # (batch, rows, columns, dim)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.rows, self.columns, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
