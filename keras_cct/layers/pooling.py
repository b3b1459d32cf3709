"""Layers that turn tokens into feature vectors, logits and token grids."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_cct.errors import InputError, check_class_names, check_count
from keras_cct.layers.composite import CompositeLayer
from keras_cct.layers.initializers import normal
from keras_cct.layers.shapes import Shape, Tensor, check_token_shape, check_weight_size, ops, reshape_samples

_EXCLUDED_SCORE = -3e4
"""Score of a masked token: its softmax is 0 in every precision, float16 included."""


@keras.saving.register_keras_serializable("keras_cct")
class SequencePool(CompositeLayer):
    """Pools the tokens with learned weights.

    Replaces the class token: each token gets a score, and a softmax over the tokens turns scores into weights.

    Call arguments:
        tokens: Float tensor of shape (batch, tokens, dim).
        mask: Optional boolean tensor of shape (batch, tokens); tokens where it is False get weight 0.

    Returns:
        Float tensor of shape (batch, dim).

    Raises:
        InputError: The tokens do not have three dimensions.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.2 (SeqPool).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        check_token_shape(input_shape)
        self.score = self.make_dense(1, "score")
        self.score.build(input_shape)

    def call(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        weights = ops.transpose(self.pooling_weights(tokens, mask), (0, 2, 1))  # (batch, 1, tokens)
        return ops.squeeze(ops.matmul(weights, tokens), axis=1)  # (batch, dim)

    def pooling_weights(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the weight of each token in the pooled vector.

        Args:
            tokens: Float tensor of shape (batch, tokens, dim).
            mask: Optional boolean tensor of shape (batch, tokens); tokens where it is False get weight 0.

        Returns:
            Float tensor of shape (batch, tokens, 1), which sums to 1 over the tokens.
        """
        scores = self.score(tokens)  # (batch, tokens, 1)
        if mask is not None:
            excluded = ops.expand_dims(ops.logical_not(mask), axis=-1)  # (batch, tokens, 1)
            scores = ops.where(excluded, ops.cast(_EXCLUDED_SCORE, scores.dtype), scores)
        return ops.softmax(scores, axis=1)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        """Returns None: the pooled vector has no token axis."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable("keras_cct")
class ClassTokenPool(keras.layers.Layer):
    """Returns the first token, the class token, as the feature vector.

    Call arguments:
        tokens: Float tensor of shape (batch, 1 + tokens, dim).

    Returns:
        Float tensor of shape (batch, dim).

    Reference: Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1.
    """

    def build(self, input_shape: Shape) -> None:
        check_token_shape(input_shape)

    def call(self, tokens: Tensor) -> Tensor:
        class_token: Any = tokens[:, 0]  # (batch, dim)
        return class_token

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable("keras_cct")
class ClassifierHead(keras.layers.Layer):
    """A linear layer that stores the class names, so that a saved model can name its predictions.

    Args:
        num_classes: Number of logits.
        class_names: Names in the order of the logits, or None if they are unknown.

    Call arguments:
        features: Float tensor of shape (batch, dim).

    Returns:
        Logits: float tensor of shape (batch, num_classes).

    Raises:
        InputError: A value is out of range, the number of names differs from the number of classes, or the features
            have an unknown dimension.
    """

    def __init__(self, num_classes: int, class_names: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_count("num_classes", num_classes)
        self.class_names = None if class_names is None else check_class_names(class_names, num_classes)

    def build(self, input_shape: Shape) -> None:
        dim = input_shape[-1] if isinstance(input_shape, tuple | list) and input_shape else None
        if not isinstance(dim, int):
            raise InputError(f"features must have shape (batch, dim) with a known dim, got {input_shape!r}.")
        check_weight_size("kernel of the head", (dim, self.num_classes))
        self.kernel = self.add_weight(shape=(dim, self.num_classes), initializer=normal(0.02), name="kernel")
        self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def call(self, features: Tensor) -> Tensor:
        return ops.matmul(features, self.kernel) + self.bias  # (batch, classes)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.num_classes)

    def get_config(self) -> dict:
        return {**super().get_config(), "num_classes": self.num_classes, "class_names": self.class_names}


@keras.saving.register_keras_serializable("keras_cct")
class TokenGrid(keras.layers.Layer):
    """Reshapes tokens to the grid that they form in the image, without the class token.

    Args:
        rows: Number of rows of tokens.
        columns: Number of columns of tokens.

    Call arguments:
        tokens: Float tensor of shape (batch, rows * columns, dim), or one more token if the first is a class token.

    Returns:
        Float tensor of shape (batch, rows, columns, dim).

    Raises:
        InputError: A value is out of range, or the number of tokens does not fill the grid.
    """

    def __init__(self, rows: int, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = check_count("rows", rows)
        self.columns = check_count("columns", columns)

    def build(self, input_shape: Shape) -> None:
        check_token_shape(input_shape)
        num_extra = (input_shape[1] or 0) - self.rows * self.columns
        if num_extra not in (0, 1):
            raise InputError(
                f"{input_shape[1]} tokens do not fill a grid of {self.rows}x{self.columns}. "
                f"Use the rows and columns of the tokenizer."
            )
        self.has_class_token = num_extra == 1

    def call(self, tokens: Tensor) -> Tensor:
        shape = (self.rows, self.columns, tokens.shape[-1])
        grid_tokens: Any = tokens[:, 1:] if self.has_class_token else tokens
        return reshape_samples(grid_tokens, shape)  # (batch, rows, columns, dim)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.rows, self.columns, input_shape[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
