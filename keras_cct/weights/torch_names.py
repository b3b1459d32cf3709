"""Which Keras variable holds which entry of the original's PyTorch state dict, and in which layout."""

import dataclasses

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.layers import ConvTokenizer, GrassmannAttention, ManifoldAttention, PatchTokenizer


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor in both worlds.

    Args:
        key: Its name in the PyTorch state dict.
        variable: The Keras variable that holds it.
        axes: The order of the PyTorch axes in Keras, e.g. (1, 0) for the kernel of a linear layer.
    """

    key: str
    variable: keras.Variable
    axes: tuple[int, ...]

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The shape of the tensor in PyTorch."""
        return tuple(self.variable.shape[axis] for axis in np.argsort(self.axes))

    def to_keras(self, value: np.ndarray) -> np.ndarray:
        """Returns a PyTorch array in Keras's layout."""
        return np.transpose(value, self.axes)

    def to_torch(self) -> np.ndarray:
        """Returns the variable's value as a contiguous float32 array in PyTorch's layout."""
        value = keras.ops.convert_to_numpy(keras.ops.cast(self.variable.value, "float32"))
        return np.array(np.transpose(value, np.argsort(self.axes)), order="C")


def torch_entries(model: keras.Model) -> list[Entry]:
    """Returns the entries of a model of this package, in the order of its layers.

    Raises:
        InputError: The model is not one of this package's.
    """
    if not any(isinstance(layer, ConvTokenizer | PatchTokenizer) for layer in model.layers):
        raise InputError(f"model {model.name!r} has no tokenizer. Give a model made by keras_cct.")
    entries = []
    for layer in model.layers:
        if layer.name.startswith("block_"):
            entries += _block_entries(f"classifier.blocks.{layer.name.removeprefix('block_')}", layer)
        elif layer.name in _ENTRIES_OF_LAYER:
            entries += _ENTRIES_OF_LAYER[layer.name](layer)
        elif layer.weights and not isinstance(layer, keras.layers.Normalization):
            raise InputError(f"layer {layer.name!r} has no place in a state dict. Give a model made by keras_cct.")
    return entries


def _tokenizer_entries(layer: keras.layers.Layer) -> list[Entry]:
    convolutions = getattr(layer, "convolutions", None) or [layer.projection]
    entries = []
    for index, convolution in enumerate(convolutions):
        key = f"tokenizer.conv_layers.{index}.0"
        entries.append(Entry(f"{key}.weight", convolution.kernel, (2, 3, 1, 0)))
        if convolution.use_bias:
            entries.append(Entry(f"{key}.bias", convolution.bias, (0,)))
    return entries


def _block_entries(key: str, block: keras.layers.Layer) -> list[Entry]:
    return [
        *_norm_entries(f"{key}.pre_norm", block.attention_norm),
        *_attention_entries(f"{key}.self_attn", block.attention),
        *_norm_entries(f"{key}.norm1", block.mlp_norm),
        *_linear_entries(f"{key}.linear1", block.mlp_in),
        *_linear_entries(f"{key}.linear2", block.mlp_out),
    ]


def _attention_entries(key: str, attention: keras.layers.Layer) -> list[Entry]:
    entries = [
        *_linear_entries(f"{key}.qkv", attention.query_key_value),
        *_linear_entries(f"{key}.proj", attention.projection),
    ]
    if isinstance(attention, GrassmannAttention):
        entries += [Entry(f"{key}.scale", attention.scale, ()), *_norm_entries(f"{key}.norm", attention.map_norm)]
    if isinstance(attention, ManifoldAttention):
        for manifold, scale in zip(attention.manifolds, attention.scales, strict=True):
            entries.append(Entry(f"{key}.{_SCALE_OF_MANIFOLD[manifold]}", scale, ()))
        if attention.map_normalization:
            entries += _norm_entries(f"{key}.conv_attn.0", attention.map_norm)
        convolution = f"{key}.conv_attn.{int(attention.map_normalization)}"
        entries.append(Entry(f"{convolution}.weight", attention.mix_kernel, (2, 3, 1, 0)))
        entries.append(Entry(f"{convolution}.bias", attention.mix_bias, (0,)))
    return entries


def _linear_entries(key: str, dense: keras.layers.Dense) -> list[Entry]:
    entries = [Entry(f"{key}.weight", dense.kernel, (1, 0))]
    return [*entries, Entry(f"{key}.bias", dense.bias, (0,))] if dense.use_bias else entries


def _norm_entries(key: str, norm: keras.layers.LayerNormalization) -> list[Entry]:
    axes = tuple(range(len(norm.gamma.shape)))
    return [Entry(f"{key}.weight", norm.gamma, axes), Entry(f"{key}.bias", norm.beta, axes)]


def _observability_entries(layer: keras.layers.Layer) -> list[Entry]:
    return [*_norm_entries("om_layer.0", layer.norm), *_linear_entries("om_layer.2", layer.projection)]


_SCALE_OF_MANIFOLD = {"euclidean": "scale", "spd": "riem_scale", "grassmann": "grassman_scale"}


_ENTRIES_OF_LAYER = {
    "tokenizer": _tokenizer_entries,
    "observability_tokens": _observability_entries,
    "class_token": lambda layer: [Entry("classifier.class_emb", layer.token, (0, 1, 2))],
    "position_embedding": lambda layer: [Entry("classifier.positional_emb", layer.embedding, (0, 1, 2))],
    "norm": lambda layer: _norm_entries("classifier.norm", layer),
    "sequence_pool": lambda layer: _linear_entries("classifier.attention_pool", layer.score),
    "head": lambda layer: [
        Entry("classifier.fc.weight", layer.kernel, (1, 0)),
        Entry("classifier.fc.bias", layer.bias, (0,)),
    ],
}
