"""Checks of the values in the configs of layers, so that a file can only give layers plain values."""

import inspect
import math
import re
import reprlib
from collections.abc import Callable
from typing import Any

import keras

from keras_cct import layers
from keras_cct.errors import InputError
from keras_cct.models.config import MAX_IMAGE_SIZE

MAX_CONV_LAYERS = 64
MAX_NAME_LENGTH = 200
MAX_STRING_LENGTH = 1000

_FLOATS = r"(mixed_)?(float16|bfloat16)|float32|float64"
_POLICY = re.compile(rf"({_FLOATS})|((int8|int4|int4/-?\d{{1,6}}|float8)_from_({_FLOATS}))|uint8|int32")
_POLICY_CLASSES = {("keras", "DTypePolicy"), ("keras.dtype_policies", "DTypePolicy")}
_QUANTIZERS_MODULE = "keras.quantizers"
_QUANTIZATION_CLASSES = ("Int8QuantizationConfig", "Int4QuantizationConfig", "Float8QuantizationConfig")
_QUANTIZER_CLASSES = ("AbsMaxQuantizer",)

OWN_LAYERS = {f"keras_cct>{name}": getattr(layers, name) for name in layers.__all__}
_OWN_KEYS = {"name", "trainable", "dtype", "autocast", "activity_regularizer", "quantized_sublayers"}
_EARLIER_KEYS = {"kind"}
"""Keys of version 0.1.0, which the layers' `from_config` renames."""


def find_layer_class(
    entry: dict[str, Any],
) -> tuple[type[keras.layers.Layer], Callable[[dict[str, Any]], dict[str, Any]]]:
    """Returns the class of a layer and the function that checks its config.

    Raises:
        InputError: The class is not on the list.
    """
    module, class_name, registered_name = (entry.get(key) for key in ("module", "class_name", "registered_name"))
    own = OWN_LAYERS.get(registered_name) if isinstance(registered_name, str) else None
    if own is not None and own.__name__ == class_name:
        return own, lambda config: _check_own_config(own, config)
    is_keras = module == "keras.layers" and registered_name is None and isinstance(class_name, str)
    if is_keras and class_name in _KERAS_CONFIGS:
        checks = _KERAS_CONFIGS[class_name]
        return getattr(keras.layers, class_name), lambda config: _check_keras_config(class_name, checks, config)
    raise foreign_object(entry)


def _check_own_config(layer: type[keras.layers.Layer], config: dict[str, Any]) -> dict[str, Any]:
    allowed = (set(inspect.signature(layer.__init__).parameters) - {"self", "kwargs"}) | _OWN_KEYS | _EARLIER_KEYS
    checked = {}
    for key, value in config.items():
        if key not in allowed:
            raise InputError(f"{layer.__name__} has no setting {shorten(key)}. Use another file.")
        if key == "dtype":
            checked[key] = _policy(value)
        elif key == "activity_regularizer":
            checked[key] = _nothing(value)
        elif key == "quantized_sublayers":
            sublayers = check_mapping(value, key).items()
            checked[key] = {check_name(name): _quantization(check_mapping(item, key)) for name, item in sublayers}
        else:
            checked[key] = _plain(value)
    if not isinstance(checked.get("num_conv_layers", 1), int) or checked.get("num_conv_layers", 1) > MAX_CONV_LAYERS:
        raise InputError(f"num_conv_layers={shorten(checked['num_conv_layers'])} exceeds {MAX_CONV_LAYERS}.")
    return checked


def _check_keras_config(
    class_name: str, checks: dict[str, Callable[[Any], Any]], config: dict[str, Any]
) -> dict[str, Any]:
    for key in config:
        if key not in checks:
            raise InputError(f"{class_name} has an unexpected setting {shorten(key)}. Use another file.")
    return {key: checks[key](value) for key, value in config.items()}


def check_input_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `keras.Input`.

    Raises:
        InputError: The shape is not that of images of a bounded size, or a setting is unknown.
    """
    shape = config.get("batch_shape")
    sizes = shape[1:] if isinstance(shape, list) and shape[:1] == [None] else []
    if len(sizes) != 3 or not all(isinstance(size, int) and 1 <= size <= MAX_IMAGE_SIZE for size in sizes):
        raise InputError(
            f"batch_shape must be [null, height, width, channels], at most {MAX_IMAGE_SIZE:,} each, "
            f"got {shorten(shape)}."
        )
    for key, value in config.items():
        if key in ("sparse", "ragged", "optional"):
            if value is not False:
                raise InputError(f"{key} must be false, got {shorten(value)}.")
        elif key not in ("batch_shape", "dtype", "name"):
            raise InputError(f"InputLayer has an unexpected setting {shorten(key)}. Use another file.")
    return {
        "shape": sizes,
        "dtype": _policy(config.get("dtype", "float32")),
        "name": check_name(config.get("name")),
    }


def _quantization(item: dict[str, Any]) -> dict[str, Any]:
    """Checks how a sublayer is quantized, and returns what Keras's deserializer may read of it."""
    if set(item) != {"dtype", "quantization_config"}:
        raise InputError(f"a quantized sublayer has the settings {shorten(list(item))}. Use another file.")
    return {
        "dtype": _policy(item["dtype"]),
        "quantization_config": _quantization_object(item["quantization_config"], _QUANTIZATION_CLASSES),
    }


def _quantization_object(value: Any, class_names: tuple[str, ...]) -> dict[str, Any] | None:
    if value is None:
        return None
    entry = check_mapping(value, "the quantization")
    is_allowed = entry.get("module") == _QUANTIZERS_MODULE and entry.get("class_name") in class_names
    if not is_allowed or entry.get("registered_name") is not None:
        raise foreign_object(entry)
    config = {}
    for key, item in check_mapping(entry.get("config"), "the quantization").items():
        is_object = isinstance(item, dict)
        config[check_name(key)] = _quantization_object(item, _QUANTIZER_CLASSES) if is_object else _plain(item)
    names = {"module": _QUANTIZERS_MODULE, "class_name": entry["class_name"], "registered_name": None}
    return {**names, "config": config}


def _plain(value: Any, depth: int = 0) -> Any:
    """Returns a finite number, a string, a boolean, None, or a list of such values nested up to twice."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and len(value) <= MAX_STRING_LENGTH:
        return value
    if isinstance(value, list) and depth < 2:
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        raise foreign_object(value)
    raise InputError(f"{shorten(value)} is not a plain value. Use another file.")


def check_mapping(value: Any, what: str) -> dict[str, Any]:
    """Returns a value that is a mapping.

    Raises:
        InputError: It is not.
    """
    if not isinstance(value, dict):
        raise InputError(f"{what} must be a mapping, got {shorten(value)}.")
    return value


def check_name(value: Any) -> str:
    """Returns a value that is the name of a layer, model or output.

    Raises:
        InputError: It is not.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_LENGTH or "/" in value or not value.isprintable():
        raise InputError(
            f"a name must be printable text of at most {MAX_NAME_LENGTH} characters without slashes, "
            f"got {shorten(value)}."
        )
    return value


def check_flag(value: Any) -> bool:
    """Returns a value that is a boolean.

    Raises:
        InputError: It is not.
    """
    if not isinstance(value, bool):
        raise InputError(f"a flag must be true or false, got {shorten(value)}.")
    return value


def _nothing(value: Any) -> None:
    if isinstance(value, dict):
        raise foreign_object(value)
    if value is not None:
        raise InputError(
            f"a regularizer, constraint or noise shape must be null, got {shorten(value)}. Use another file."
        )


def _policy(value: Any) -> str:
    """Returns the name of a dtype policy."""
    if isinstance(value, dict):
        is_allowed = (value.get("module"), value.get("class_name")) in _POLICY_CLASSES
        if not is_allowed or value.get("registered_name") is not None:
            raise foreign_object(value)
        value = check_mapping(value.get("config"), "the dtype").get("name")
    if not isinstance(value, str) or not _POLICY.fullmatch(value):
        raise InputError(f"{shorten(value)} is not the name of a dtype policy. Use another file.")
    return value


def _initializer(value: Any) -> str:
    """Returns the name of a constant initializer."""
    entry = check_mapping(value, "an initializer")
    is_allowed = entry.get("module") == "keras.initializers" and entry.get("class_name") in ("Zeros", "Ones")
    if not is_allowed or entry.get("registered_name") is not None or entry.get("config"):
        raise foreign_object(entry)
    return entry["class_name"].lower()


def foreign_object(entry: dict[str, Any]) -> InputError:
    """Returns the error about an object that models of this package do not consist of."""
    names = ".".join(str(entry.get(key)) for key in ("module", "class_name") if entry.get(key) is not None)
    if entry.get("class_name") == "function":
        names = f"function {names}.{entry.get('config')}"
    return InputError(
        f"it contains {shorten(names)}, which models of keras_cct do not consist of. If you trust the author of the "
        f"file, pass trust=True or --trust: it can then run any code."
    )


_REPR = reprlib.Repr()
_REPR.maxstring = 100


def shorten(value: Any) -> str:
    """Returns the representation of a value for a message, of bounded length."""
    return _REPR.repr(value)


def _last_axis(value: Any) -> Any:
    """Checks that a layer works along the channels only: constants of more axes would be as large as the images."""
    if value not in (None, -1, 2, 3, [-1], [2], [3]) or isinstance(value, bool | float):
        raise InputError(f"the axis {shorten(value)} is not the last one. Use another file.")
    return value


_BASE = {"name": check_name, "trainable": check_flag, "dtype": _policy}
_KERAS_CONFIGS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "Dropout": {**_BASE, "rate": _plain, "seed": _plain, "noise_shape": _nothing},
    "Normalization": {**_BASE, "axis": _last_axis, "invert": check_flag, "mean": _plain, "variance": _plain},
    "LayerNormalization": {
        **_BASE,
        "axis": _last_axis,
        "epsilon": _plain,
        "center": check_flag,
        "scale": check_flag,
        "rms_scaling": check_flag,
        "beta_initializer": _initializer,
        "gamma_initializer": _initializer,
        "beta_regularizer": _nothing,
        "gamma_regularizer": _nothing,
        "beta_constraint": _nothing,
        "gamma_constraint": _nothing,
    },
}
