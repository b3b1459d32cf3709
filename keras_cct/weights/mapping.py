"""Maps the weights of a model from and to the state dict of the reference implementation in PyTorch."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_cct.errors import InputError, check_instance
from keras_cct.layers.grassmann import GrassmannAttention
from keras_cct.layers.manifold import ManifoldAttention
from keras_cct.layers.tokenizers import ConvTokenizer, PatchTokenizer
from keras_cct.models import names


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of the PyTorch state dict and the Keras variable that corresponds to it.

    Args:
        key: Key in the state dict.
        variable: The Keras variable.
        axes: Permutation of the PyTorch axes that gives the Keras layout, e.g. (1, 0) for the kernel of a linear layer.
    """

    key: str
    variable: keras.Variable
    axes: tuple[int, ...]

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """Shape of the PyTorch tensor."""
        return tuple(self.variable.shape[axis] for axis in np.argsort(self.axes))

    def to_keras(self, array: np.ndarray) -> np.ndarray:
        """Returns a PyTorch array in the Keras layout."""
        return np.transpose(array, self.axes)

    def to_torch(self) -> np.ndarray:
        """Returns the value of the variable as a contiguous float32 array in the PyTorch layout."""
        value = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(self.variable.value, "float32")))
        return np.array(np.transpose(value, np.argsort(self.axes)), order="C")


def torch_entries(model: keras.Model) -> list[Entry]:
    """Returns the entries of a model in the order of its layers.

    Raises:
        InputError: The model was not made by this package, or is quantized.
    """
    check_instance("model", model, keras.Model, "a Keras model")
    if not any(isinstance(layer, ConvTokenizer | PatchTokenizer) for layer in model.layers):
        raise InputError(f"model {model.name!r} has no tokenizer. Pass a model made by keras_cct.")
    entries = []
    for layer in model.layers:
        try:
            entries += _layer_entries(layer)
        except AttributeError as error:  # a layer of another class has this name
            raise _no_entry(layer) from error
    for entry in entries:
        if not keras.backend.is_float_dtype(entry.variable.dtype):
            raise InputError(
                f"model {model.name!r} is quantized: {entry.key} has dtype {entry.variable.dtype}. State dicts have "
                f"floating-point weights; use the model before `quantize`, or write a .keras file with `model.save`."
            )
    return entries


def _layer_entries(layer: keras.layers.Layer) -> list[Entry]:
    index = names.block_index(layer.name)
    if index is not None:
        return _block_entries(f"classifier.blocks.{index}", layer)
    if layer.name in _ENTRIES_OF_LAYER:
        return _ENTRIES_OF_LAYER[layer.name](layer)
    if layer.weights and layer.name != names.NORMALIZATION:
        raise _no_entry(layer)
    return []


def _no_entry(layer: keras.layers.Layer) -> InputError:
    return InputError(f"layer {layer.name!r} has no entry in a state dict. Pass a model made by keras_cct.")


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
    axes = tuple(range(len(norm.gamma.shape)))  # pyright: ignore[reportOptionalMemberAccess] # set by `build`
    return [Entry(f"{key}.weight", norm.gamma, axes), Entry(f"{key}.bias", norm.beta, axes)]


def _observability_entries(layer: keras.layers.Layer) -> list[Entry]:
    return [*_norm_entries("om_layer.0", layer.norm), *_linear_entries("om_layer.2", layer.projection)]


_SCALE_OF_MANIFOLD = {"euclidean": "scale", "spd": "riem_scale", "grassmann": "grassman_scale"}


_ENTRIES_OF_LAYER = {
    names.TOKENIZER: _tokenizer_entries,
    names.OBSERVABILITY_TOKENS: _observability_entries,
    names.CLASS_TOKEN: lambda layer: [Entry("classifier.class_emb", layer.token, (0, 1, 2))],
    names.POSITION_EMBEDDING: lambda layer: [Entry("classifier.positional_emb", layer.embedding, (0, 1, 2))],
    names.NORM: lambda layer: _norm_entries("classifier.norm", layer),
    names.SEQUENCE_POOL: lambda layer: _linear_entries("classifier.attention_pool", layer.score),
    names.HEAD: lambda layer: [
        Entry("classifier.fc.weight", layer.kernel, (1, 0)),
        Entry("classifier.fc.bias", layer.bias, (0,)),
    ],
}


MAX_LISTED = 2
"""Mismatches of each kind in one message."""
Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(model_name: str, expected: Shapes, found: Shapes) -> None:
    """Raises one error that lists the first mismatches and their number, if there are any.

    Args:
        model_name: Name of the model, for the message.
        expected: Names and shapes of the model's weights.
        found: Names and shapes of the weights to load.

    Raises:
        InputError: A name is missing or unexpected, or has another shape.
    """
    kinds = (
        [f"missing {name} {shape}" for name, shape in expected.items() if name not in found],
        [f"unexpected {_short(name)} {shape}" for name, shape in found.items() if name not in expected],
        [
            f"{name} has shape {found[name]}, expected {shape}"
            for name, shape in expected.items()
            if name in found and found[name] != shape
        ],
    )
    listed = [mismatch for mismatches in kinds for mismatch in mismatches[:MAX_LISTED]]
    num_others = sum(map(len, kinds)) - len(listed)
    if listed:
        others = f"; and {num_others} more" if num_others else ""
        raise InputError(
            f"the weights do not match model {model_name!r}: {'; '.join(listed)}{others}. Nothing was loaded; "
            f"create the model with the architecture of the weights."
        )


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:80]}..."


def assign_state_dict(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Assigns all arrays of a state dict to their variables, or raises and assigns none.

    Raises:
        InputError: A key is missing or unexpected, or has another shape.
    """
    for key, array in arrays.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"{key} has dtype {array.dtype}. Nothing was loaded; pass floating-point weights.")
    entries = torch_entries(model)
    expected = {entry.key: entry.torch_shape for entry in entries}
    check_shapes(model.name, expected, {key: array.shape for key, array in arrays.items()})
    for entry in entries:
        entry.variable.assign(entry.to_keras(arrays[entry.key]))


def export_torch_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the weights of a model as a state dict of the reference implementation.

    Args:
        model: A model made by this package.

    Returns:
        Names to arrays in PyTorch's layout. `{key: torch.from_numpy(array)}` loads into the reference implementation.

    Raises:
        InputError: The model was not made by this package, or is quantized.
    """
    return {entry.key: entry.to_torch() for entry in torch_entries(model)}
