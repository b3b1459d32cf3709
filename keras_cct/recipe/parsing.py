"""Values of a recipe in the types of its keys, however YAML or a command line wrote them."""

import math
from collections.abc import Mapping

from keras_cct.errors import InputError

KINDS = {
    str: "a word",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple[float, ...]: "a list of numbers",
    dict[str, object]: "a list of name=value",
}
TRUTHS = {True: True, False: False, "true": True, "false": False}


def coerce(key: str, value: object, wanted: type) -> object:
    """Returns the value in the type of its key; YAML 1.1 reads 55e-5 as a string.

    Raises:
        InputError: It is no such value.
    """
    try:
        return _CONVERSIONS[wanted](value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"recipe key {key}={value!r} is not {KINDS[wanted]}. Give one, or leave the key out."
        ) from error


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool | str) or value not in TRUTHS:
        raise TypeError
    return TRUTHS[value]


def _whole_number(value: object) -> int:
    if isinstance(value, bool) or (not isinstance(value, str) and value != int(value)):
        raise TypeError
    return int(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise TypeError
    return float(value)


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(_number(item) for item in (value if isinstance(value, list | tuple) else [value]))


def _named_values(value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return {_word(name): item for name, item in value.items()}
    import yaml

    pairs = [item.split("=", 1) for item in value]
    return {name: yaml.safe_load(text) for name, text in pairs}


_CONVERSIONS = {
    str: _word,
    bool: _truth,
    int: _whole_number,
    float: _number,
    tuple[float, ...]: _numbers,
    dict[str, object]: _named_values,
}
