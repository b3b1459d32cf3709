"""Tokens back in the place they have in the image."""

import keras
from keras import ops

from keras_cct.checks import check_count
from keras_cct.errors import InputError


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
