"""Converts recipe values from YAML, a command line or Python code into the types of their keys."""

import math
from collections.abc import Mapping
from typing import Any

TYPE_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number that float32 can represent",
    tuple[float, ...]: "a list of numbers",
    dict[str, object]: "a list of name=value",
}
"""The types of recipe keys, as error messages name them."""

FLOAT32_MAX = 3.4028234663852886e38
SHOWN_CHARACTERS = 100
"""Length to which error messages truncate a value."""

_BOOLEANS = {True: True, False: False, "true": True, "false": False}


def parse_value(value: object, value_type: Any) -> Any:
    """Returns a value in the type of its key. YAML 1.1 reads 55e-5 as a string, so strings may hold numbers.

    Args:
        value: The value.
        value_type: A key of `TYPE_NAMES`.

    Raises:
        TypeError, ValueError or OverflowError: The value does not have that type.
    """
    return _PARSERS[value_type](value)


def shorten(value: object) -> str:
    """Returns the `repr` of a value, truncated to `SHOWN_CHARACTERS`."""
    try:
        text = repr(value)
    except ValueError:  # Python prints at most 4300 digits.
        return "an integer of more than 4300 digits"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _parse_string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _parse_boolean(value: object) -> bool:
    if not isinstance(value, bool | str) or value not in _BOOLEANS:
        raise TypeError
    return _BOOLEANS[value]


def _parse_integer(value: Any) -> int:
    if isinstance(value, bool) or (not isinstance(value, str) and value != int(value)):
        raise TypeError
    return int(value)


def _parse_number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)) or abs(float(value)) > FLOAT32_MAX:
        raise TypeError
    return float(value)


def _parse_numbers(value: object) -> tuple[float, ...]:
    return tuple(_parse_number(item) for item in (value if isinstance(value, list | tuple) else [value]))


def _parse_named_values(value: Any) -> dict[str, object]:
    if isinstance(value, Mapping):
        return {_parse_string(name): item for name, item in value.items()}
    from keras_cct.recipe.strict_yaml import parse_yaml

    pairs = [_parse_string(item).split("=", 1) for item in value]
    return {name: parse_yaml(text, name) for name, text in pairs}


_PARSERS = {
    str: _parse_string,
    bool: _parse_boolean,
    int: _parse_integer,
    float: _parse_number,
    tuple[float, ...]: _parse_numbers,
    dict[str, object]: _parse_named_values,
}
