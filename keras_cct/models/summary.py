"""Summaries of models: output shapes, parameters, multiply-accumulate operations and activation memory."""

import dataclasses
import functools
from typing import Any

import keras

from keras_cct.errors import InputError
from keras_cct.models import names
from keras_cct.models.build import build_model
from keras_cct.models.config import ModelConfig
from keras_cct.models.costs import Cost, called_shape, layer_cost

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """One layer, for one image.

    Args:
        name: Name of the layer.
        output_shape: Shape of its output without the batch size.
        parameters: Number of weights, including those that are not trained.
        macs: Multiply-accumulate operations with weights.
        macs_with_attention: The same with the products of attention and pooling, which have no weights.
        activation_bytes: Memory of the outputs of all layers with weights, similarity maps and attention weights, in
            the dtype of the computation. Training keeps about this much per image; inference needs less.
    """

    name: str
    output_shape: tuple[int | None, ...]
    parameters: int
    macs: int
    macs_with_attention: int
    activation_bytes: int


@dataclasses.dataclass(frozen=True)
class ModelSummary:
    """The layers of a model, and their sums.

    Args:
        name: Name of the model.
        input_shape: (height, width, channels) of the images.
        layers: One entry per layer, in order; an encoder block is one layer.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerSummary, ...]

    @property
    def total(self) -> LayerSummary:
        """The sums over all layers, with the output shape of the last."""
        sums = {
            field: sum(getattr(layer, field) for layer in self.layers)
            for field in ("parameters", "macs", "macs_with_attention", "activation_bytes")
        }
        return LayerSummary("total", self.layers[-1].output_shape, **sums)


def summarize(model: keras.Model) -> ModelSummary:
    """Returns output shapes, parameters, MACs and activation memory of each layer of a model.

    MACs are computed from the layers of the built model and their input shapes, recursively.

    Args:
        model: A model created by this package, or a functional or sequential model that contains one.

    Raises:
        InputError: The model has other layers with weights, or sizes that are not fixed.

    Example:
        >>> summarize(create_model("cct_7_3x1_32")).total.macs
        946670080
    """
    if not isinstance(model, keras.Model) or not getattr(model, "layers", ()) or not model.built:
        raise InputError(f"{model!r} is not a built Keras model. Pass a model of keras_cct.")
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return ModelSummary(model.name, tuple(model.input_shape[1:]), tuple(map(_summarize_layer, layers)))


def _summarize_layer(layer: Any) -> LayerSummary:
    cost: Cost = layer_cost(layer, called_shape(layer))
    return LayerSummary(
        layer.name,
        tuple(layer.output.shape[1:]),
        layer.count_params(),
        cost.macs,
        cost.macs + cost.attention_macs,
        cost.activations * _BYTES.get(layer.compute_dtype, 4),
    )


def summarize_config(config: ModelConfig) -> ModelSummary:
    """Returns the summary of the model that a config describes.

    Only the first encoder block is built, because all blocks of a model have the same shapes.

    Raises:
        InputError: The tokenizer does not support the image size.
    """
    summary = _summarize_one_block(dataclasses.replace(config, num_layers=1, name="model"))
    layers = []
    for layer in summary.layers:
        num_copies = config.num_layers if layer.name == names.block_name(0) else 1
        layers.append(layer)
        layers += [dataclasses.replace(layer, name=names.block_name(index)) for index in range(1, num_copies)]
    return ModelSummary(config.name or config.family, summary.input_shape, tuple(layers))


@functools.cache
def _summarize_one_block(config: ModelConfig) -> ModelSummary:
    return summarize(build_model(config))
