"""Activation checkpointing: a part of a layer whose activations the backward pass recomputes.

`keras.remat` computes a function twice. If the function draws from seed generators, the second computation draws other
numbers, so that dropout has another mask in the backward pass than in the forward pass (TensorFlow, and PyTorch with
seeds), and JAX cannot update their states inside at all. Here it gets a function of the input and of the values of all
variables, which returns the new states, so that both computations are the same.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_cct.layers.shapes import Tensor, ops


def with_recomputation(layer: keras.layers.Layer, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Returns `function(inputs)`; only the inputs are stored, and the backward pass recomputes the activations.

    Args:
        layer: The built layer that the function belongs to. The function may read its weights and use its seed
            generators, and no other variables.
        function: Maps a float tensor to one.
        inputs: Float tensor.
    """
    weights = layer.weights
    states = [variable for variable in layer.variables if all(variable is not weight for weight in weights)]
    # Copies, because variables are tensors that change in place on TensorFlow and PyTorch.
    state_values = [ops.copy(state) for state in states]

    def compute(inputs: Tensor, *weight_values: Tensor) -> list[Any]:
        values = [*zip(weights, weight_values, strict=True), *zip(states, state_values, strict=True)]
        with keras.StatelessScope(values, initialize_variables=False) as scope:
            outputs = function(inputs)
        return [outputs, *(scope.get_current_value(state) for state in states)]

    outputs, *new_values = keras.remat(compute)(inputs, *map(ops.copy, weights))
    for state, value in zip(states, new_values, strict=True):
        state.assign(value)
    return outputs
