"""Counts the multiply-accumulate operations and activations of layers, from their weights and input shapes.

`layer_cost` has one rule per type of layer; composite layers and models add up their sub-layers.
"""

import dataclasses
import functools
import math
from typing import Any

import keras

from keras_cct import layers
from keras_cct.errors import InputError
from keras_cct.layers.shapes import Shape


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one image costs in the forward pass of a layer.

    Args:
        macs: Multiply-accumulate operations with weights: dense layers, convolutions, and the learned combination of
            similarity maps.
        attention_macs: Multiply-accumulate operations of activations with each other: attention scores, their products
            with the values, and weighted sums of tokens. Matrix factorizations are not counted.
        activations: Number of values in the outputs of all layers with weights, the similarity maps and the attention
            weights. Elementwise operations are not counted.
    """

    macs: int = 0
    attention_macs: int = 0
    activations: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.macs + other.macs,
            self.attention_macs + other.attention_macs,
            self.activations + other.activations,
        )


@functools.singledispatch
def layer_cost(layer: keras.layers.Layer, input_shape: Any) -> Cost:
    """Returns the cost of a built layer for one image.

    Args:
        layer: The layer.
        input_shape: Shape of its input, (batch, ...).

    Raises:
        InputError: The layer has weights and is of a type without a rule.
    """
    if layer.weights:
        raise InputError(
            f"cannot count the MACs of layer {layer.name!r} of type {type(layer).__name__}. "
            f"Use a model created by keras_cct."
        )
    return Cost()


@layer_cost.register
def _(layer: keras.layers.Dense, input_shape: Shape) -> Cost:
    num_positions = math.prod(_sample(input_shape)[:-1])
    num_inputs, num_outputs = _sample(input_shape)[-1], layer.units
    return Cost(macs=num_positions * num_inputs * num_outputs, activations=num_positions * num_outputs)


@layer_cost.register(layers.ClassifierHead)
def _(layer: layers.ClassifierHead, input_shape: Shape) -> Cost:
    return Cost(macs=_sample(input_shape)[-1] * layer.num_classes, activations=layer.num_classes)


@layer_cost.register(keras.layers.LayerNormalization)
@layer_cost.register(layers.PositionEmbedding)
@layer_cost.register(layers.ClassToken)
def _(layer: keras.layers.Layer, input_shape: Shape) -> Cost:
    return Cost(activations=math.prod(_sample(layer.compute_output_shape(input_shape))))


@layer_cost.register(layers.PatchTokenizer)
def _(layer: layers.PatchTokenizer, input_shape: Shape) -> Cost:
    return _convolution_cost(layer.projection, layer.token_grid(input_shape))


@layer_cost.register(layers.ConvTokenizer)
def _(layer: layers.ConvTokenizer, input_shape: Shape) -> Cost:
    stages = zip(layer.convolutions, layer.stage_sizes(input_shape), strict=True)
    return sum((_convolution_cost(convolution, size) for convolution, (size, _) in stages), Cost())


def _convolution_cost(layer: Any, output_size: tuple[int, int]) -> Cost:
    num_positions = math.prod(output_size)
    return Cost(macs=num_positions * math.prod(layer.kernel.shape), activations=num_positions * layer.filters)


@layer_cost.register(layers.EncoderBlock)
def _(layer: layers.EncoderBlock, input_shape: Shape) -> Cost:
    hidden_shape = (*input_shape[:-1], layer.mlp_in.units)
    sublayers = (layer.attention_norm, layer.attention, layer.mlp_norm, layer.mlp_in)
    cost = sum((layer_cost(sublayer, input_shape) for sublayer in sublayers), Cost())
    return cost + layer_cost(layer.mlp_out, hidden_shape)


@layer_cost.register(layers.SelfAttention)
def _(layer: layers.SelfAttention, input_shape: Shape) -> Cost:
    num_tokens, dim = _sample(input_shape)
    return _attention_cost(layer, input_shape, score_macs=num_tokens**2 * dim, num_maps=0)


@layer_cost.register(layers.GrassmannAttention)
def _(layer: layers.GrassmannAttention, input_shape: Shape) -> Cost:
    return _attention_cost(layer, input_shape, score_macs=_similarity_macs("grassmann", layer, input_shape), num_maps=1)


@layer_cost.register(layers.ManifoldAttention)
def _(layer: layers.ManifoldAttention, input_shape: Shape) -> Cost:
    num_tokens, _ = _sample(input_shape)
    num_maps = len(layer.manifolds)
    score_macs = sum(_similarity_macs(manifold, layer, input_shape) for manifold in layer.manifolds)
    combination = Cost(macs=num_tokens**2 * num_maps * layer.num_heads**2)
    return _attention_cost(layer, input_shape, score_macs, num_maps) + combination


def _attention_cost(layer: Any, input_shape: Shape, score_macs: int, num_maps: int) -> Cost:
    """Returns the cost of any attention; the similarity maps exist beside the attention weights."""
    num_tokens, dim = _sample(input_shape)
    map_size = layer.num_heads * num_tokens**2
    products = Cost(
        attention_macs=score_macs + num_tokens**2 * dim, activations=(num_maps + 1) * map_size + num_tokens * dim
    )
    return layer_cost(layer.query_key_value, input_shape) + products + layer_cost(layer.projection, input_shape)


def _similarity_macs(manifold: str, layer: Any, input_shape: Shape) -> int:
    """Returns the operations of one similarity map, over all heads."""
    num_tokens, dim = _sample(input_shape)
    head_dim = dim // layer.num_heads
    if manifold == "spd":  # both products with the inner factor, and its own
        return layer.num_heads * (2 * num_tokens * head_dim**2 + num_tokens**2 * head_dim)
    rank = min(num_tokens, head_dim) if manifold == "grassmann" else head_dim
    return layer.num_heads * num_tokens**2 * rank


@layer_cost.register(layers.ObservabilityTokens)
def _(layer: layers.ObservabilityTokens, input_shape: Shape) -> Cost:
    num_tokens, dim = _sample(input_shape)
    num_signals, num_steps = layer.num_signals, dim // layer.num_signals
    products = num_signals**2 * (3 * num_steps - 2) + 2 * num_signals**3  # three Gram matrices, and A times C
    num_features = layer.num_blocks * num_signals**2
    system = Cost(attention_macs=num_tokens * products, activations=num_tokens * num_features)
    projection = layer_cost(layer.projection, (*input_shape[:-1], num_features))
    return layer_cost(layer.norm, input_shape) + system + projection


@layer_cost.register(layers.SequencePool)
def _(layer: layers.SequencePool, input_shape: Shape) -> Cost:
    num_tokens, dim = _sample(input_shape)
    return layer_cost(layer.score, input_shape) + Cost(attention_macs=num_tokens * dim, activations=dim)


@layer_cost.register
def _(layer: keras.Model, _input_shape: Any) -> Cost:
    return sum((layer_cost(inner, called_shape(inner)) for inner in layer.layers), Cost())


def called_shape(layer: keras.layers.Layer) -> Any:
    """Returns the shape of the input that a layer of a functional model gets: a tuple, or a list of them."""
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), layer.input)


def _sample(shape: Shape) -> tuple[int, ...]:
    """Returns a shape without the batch size; models of this package know all other sizes."""
    sizes = tuple(size for size in shape[1:] if size is not None)
    if len(sizes) != len(shape) - 1:
        raise InputError(f"cannot count MACs for the shape {tuple(shape)}. Use a model with fixed sizes.")
    return sizes
