"""Element-wise layers and functions of the encoder, in the form that is fastest on the backend.

Training on TensorFlow and a CPU compiles them. Inference does not, so that exported models contain only operations that
every runtime has.
"""

import math
from typing import Any

import keras

from keras_cct.layers.masks import dropout_key, keep_mask
from keras_cct.layers.shapes import Tensor, ops


class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with a mask of `keep_mask`, except on PyTorch and on GPUs with TensorFlow.

    Args:
        rate: Probability of zeroing a value, in [0, 1).
        seed: Random seed; None selects one at random.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return inputs
        compiled = _compiled_functions()
        if compiled is not None:
            return compiled.dropout(inputs, self.rate, dropout_key(self.seed_generator))
        if keras.backend.backend() != "jax":
            return super().call(inputs, training=training)
        mask = keep_mask(ops.shape(inputs), self.rate, dropout_key(self.seed_generator))
        return ops.where(mask, inputs / (1 - self.rate), ops.cast(0, inputs.dtype))

    def of_softmax(self, scores: Tensor) -> Tensor:
        """Returns the softmax of attention scores over the last axis, with dropout, for training."""
        compiled = _compiled_functions()
        if compiled is None or self.rate == 0:
            return self(ops.softmax(scores), training=True)
        return compiled.softmax_with_dropout(scores, self.rate, dropout_key(self.seed_generator))


class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis with epsilon 1e-5, PyTorch's default."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(epsilon=1e-5, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Any:
        compiled = _compiled_functions() if training else None
        if compiled is None:
            return super().call(inputs)
        return compiled.layer_normalization(inputs, self.gamma, self.beta, self.epsilon)


def gelu(x: Tensor, training: bool | None = None) -> Tensor:
    """Returns the exact GELU, computed with `erf`, which all exporters support; Keras's `gelu` uses `erfc`."""
    compiled = _compiled_functions() if training else None
    if compiled is not None:
        return compiled.gelu(x)
    return 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5)))


def _compiled_functions() -> Any:
    """Returns the module `tensorflow_elementwise`, or None where its functions cannot be used."""
    if keras.backend.backend() != "tensorflow":
        return None
    from keras_cct.layers import tensorflow_elementwise

    return tensorflow_elementwise if tensorflow_elementwise.can_compile() else None
