"""Parses the `config.json` of a `.keras` file against an allow-list, without Keras's deserializer.

Keras's own deserializer imports modules and calls functions and classes that a config names. Here a config can only
select from the layers that the models of this package consist of, and give them plain values.
"""

import dataclasses
import json
from typing import Any

import keras

from keras_cct.errors import InputError
from keras_cct.weights.keras_layer_config import (
    check_flag,
    check_input_config,
    check_mapping,
    check_name,
    find_layer_class,
    foreign_object,
    shorten,
)

MAX_LAYERS = 300
"""Largest number of layers; a model of this package has at most 256 blocks."""
_MODEL_CLASSES = {(module, "Functional") for module in ("keras.src.models.functional", "keras", "keras.models")}


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer of a model.

    Args:
        layer_class: Its class.
        config: Checked arguments of the class.
        name: Name of the layer.
        source: Name of the layer, or of the input, whose output it is called on.
        arguments: Keyword arguments of that call, such as `training`.
    """

    layer_class: type[keras.layers.Layer]
    config: dict[str, Any]
    name: str
    source: str
    arguments: dict[str, Any]

    def create(self) -> keras.layers.Layer:
        """Returns the layer with fresh weights, not built yet."""
        return self.layer_class.from_config(dict(self.config))


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A model whose layers each have one input and one output.

    Args:
        name: Name of the model.
        trainable: Whether its weights are trainable.
        inputs: Arguments of `keras.Input`.
        layers: The layers, each after the layer that it is called on.
        outputs: Name of the output layer, or the names of the output layers by the names of the outputs.
    """

    name: str
    trainable: bool
    inputs: dict[str, Any]
    layers: list[LayerSpec]
    outputs: str | dict[str, str]


def parse_model_config(content: bytes) -> ModelSpec:
    """Returns the model that a `config.json` describes. The compile config is ignored.

    Raises:
        InputError: The config contains anything that models of this package do not.
        ValueError: It is not valid JSON.
    """
    model = json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_reject_constant)
    model = check_mapping(model, "the model")
    is_functional = (model.get("module"), model.get("class_name")) in _MODEL_CLASSES
    if not is_functional or model.get("registered_name") not in (None, "Functional"):
        raise foreign_object(model)
    config = check_mapping(model.get("config"), "the config of the model")
    entries = config.get("layers")
    if not isinstance(entries, list) or not 2 <= len(entries) <= MAX_LAYERS:
        raise InputError(f"the model must have a list of 2 to {MAX_LAYERS} layers. Use another file.")
    inputs = _parse_input(check_mapping(entries[0], "the first layer"))
    if config.get("input_layers") != [inputs["name"], 0, 0]:
        raise InputError(
            f"the model must have one input, the first layer, got {shorten(config.get('input_layers'))}. Use another."
        )
    known, parsed = {inputs["name"]}, []
    for entry in entries[1:]:
        spec = _parse_layer(check_mapping(entry, "a layer"))
        if spec.name in known:
            raise InputError(f"two layers have the name {spec.name!r}. Use another file.")
        if spec.source not in known:
            raise InputError(
                f"layer {spec.name!r} is called on {spec.source!r}, which is not an earlier layer. Use another."
            )
        known.add(spec.name)
        parsed.append(spec)
    outputs = config.get("output_layers")
    sources = outputs if isinstance(outputs, dict) else {"": outputs}
    names = {check_name(key) if key else key: _tensor_source(value) for key, value in sources.items()}
    if not names or not known.issuperset(names.values()):
        raise InputError(f"the model has unknown outputs, {shorten(outputs)}. Use another file.")
    return ModelSpec(
        name=check_name(config.get("name")),
        trainable=check_flag(config.get("trainable", True)),
        inputs=inputs,
        layers=parsed,
        outputs=names if isinstance(outputs, dict) else names[""],
    )


def _parse_input(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `keras.Input`."""
    if (entry.get("module"), entry.get("class_name")) != ("keras.layers", "InputLayer"):
        raise InputError("the model must have one input, its first layer.")
    config = check_input_config(check_mapping(entry.get("config"), "the config of the input"))
    if entry.get("name") != config["name"] or entry.get("inbound_nodes") != []:
        raise InputError(f"the input {config['name']!r} has another name in the model, or an input.")
    return config


def _parse_layer(entry: dict[str, Any]) -> LayerSpec:
    name = check_name(entry.get("name"))
    layer_class, check_config = find_layer_class(entry)
    config = check_config(check_mapping(entry.get("config"), f"the config of layer {name!r}"))
    if config.setdefault("name", name) != name:
        raise InputError(f"layer {name!r} has another name in its config, {shorten(config['name'])}.")
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1:
        raise InputError(f"layer {name!r} must be called once, got inbound_nodes={shorten(nodes)}.")
    node = check_mapping(nodes[0], f"the call of layer {name!r}")
    tensors, arguments = node.get("args"), check_mapping(node.get("kwargs"), f"the arguments of layer {name!r}")
    if not isinstance(tensors, list) or len(tensors) != 1:
        raise InputError(f"layer {name!r} must be called on one tensor.")
    tensor = check_mapping(tensors[0], f"the input of layer {name!r}")
    if tensor.get("class_name") != "__keras_tensor__":
        raise foreign_object(tensor)
    history = check_mapping(tensor.get("config"), f"the input of layer {name!r}").get("keras_history")
    arguments = {key: _call_argument(key, value) for key, value in arguments.items()}
    return LayerSpec(layer_class, config, name, _tensor_source(history), arguments)


def _call_argument(key: str, value: Any) -> Any:
    if key not in ("training", "mask") or value not in (None, True, False) or (key == "mask" and value is not None):
        raise InputError(f"a layer is called with an unexpected argument {shorten(key)}={shorten(value)}.")
    return value


def _tensor_source(value: Any) -> str:
    """Returns the layer of a tensor that is listed as [layer, 0, 0]."""
    if not isinstance(value, list) or len(value) != 3 or value[1:] != [0, 0]:
        raise InputError(f"expected the only output of a layer, got {shorten(value)}.")
    return check_name(value[0])


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise InputError(f"config.json has a duplicate key among {shorten([key for key, _ in pairs])}.")
    return mapping


def _reject_constant(name: str) -> None:
    raise InputError(f"config.json contains {name}. Use another file.")
