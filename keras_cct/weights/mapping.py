"""Weights of the original PyTorch models, in and out."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_cct.errors import InputError
from keras_cct.layers.grassmann import GrassmannAttention
from keras_cct.layers.manifold import ManifoldAttention
from keras_cct.layers.tokenizers import ConvTokenizer, PatchTokenizer
from keras_cct.models import names


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
        elif layer.weights and layer.name != names.NORMALIZATION:
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


MOST_LISTED = 12
Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(model_name: str, wanted: Shapes, found: Shapes) -> None:
    """Raises one error that tells the first differences and their number, if there are any.

    Args:
        model_name: Name of the model, for the message.
        wanted: Names and shapes of the model's weights.
        found: Names and shapes of the weights that are given.

    Raises:
        InputError: A name is missing or extra, or has another shape.
    """
    faults = [f"missing {name} {shape}" for name, shape in wanted.items() if name not in found]
    faults += [f"extra {name} {shape}" for name, shape in found.items() if name not in wanted]
    faults += [
        f"{name} is {found[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if faults:
        raise InputError(
            f"the weights do not fit model {model_name!r}: {_first(faults)}. Nothing was loaded; "
            f"create the model with the architecture the weights come from."
        )


def _first(faults: list[str]) -> str:
    rest = len(faults) - MOST_LISTED
    return "; ".join(faults[:MOST_LISTED]) + (f"; and {rest} more" if rest > 0 else "")


def assign_state_dict(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Assigns every array of a state dict to its variable, or none.

    Raises:
        InputError: A key is missing, extra or misshapen; the message lists them all.
    """
    for key, array in arrays.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"{key} holds {array.dtype}, not floating-point numbers. Nothing was loaded.")
    entries = torch_entries(model)
    wanted = {entry.key: entry.torch_shape for entry in entries}
    check_shapes(model.name, wanted, {key: array.shape for key, array in arrays.items()})
    for entry in entries:
        entry.variable.assign(entry.to_keras(arrays[entry.key]))


def export_torch_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights of a model made by this package as the original's state dict.

    Args:
        model: A model made by this package.

    Returns:
        Names to arrays, in PyTorch's names and layout; `{key: torch.from_numpy(array)}` loads into the original.

    Raises:
        InputError: The model is not one of this package's.
    """
    return {entry.key: entry.to_torch() for entry in torch_entries(model)}
