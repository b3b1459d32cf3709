"""`InputError`, the argument checks that raise it, and `VerificationError`."""

import math
import numbers
import os
import reprlib
import unicodedata
from collections.abc import Sequence
from typing import Any, TypeGuard

MAX_MESSAGE_LENGTH = 500
MAX_COUNT = 2**31 - 1
"""Largest count by default: the sizes of tensors are 32-bit integers."""


class InputError(ValueError):
    """A value, file or name from the user is invalid. The message names it and says what to do.

    The message is always one printable line of at most 500 characters: line breaks become spaces, other control
    characters and bytes that are not UTF-8 are escaped, and the middle of a longer message is left out.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(str(message)))


class VerificationError(RuntimeError):
    """A written file differs from its source and was removed: a bug of this package or of a runtime."""


def one_line(message: str) -> str:
    """Returns a message as one printable line of at most 500 characters, as `InputError` describes."""
    line = " ".join(part.strip() for part in message.splitlines())
    line = printable(line)
    half = MAX_MESSAGE_LENGTH // 2 - 3
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[:half]} ... {line[-half:]}"


def printable(text: str) -> str:
    """Returns a text with line breaks, control characters and bytes that are not UTF-8 escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether a value is a finite real number. NumPy scalars are numbers; booleans are not."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_count(name: str, value: object, at_most: int = MAX_COUNT) -> int:
    """Validates an integer of at least 1 and returns it as an `int`.

    Raises:
        InputError: The value is not an integer, is below 1 or above `at_most`.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise InputError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value!r}.")
    if int(value) > at_most:
        raise InputError(f"{name} must be at most {at_most:,}, got {reprlib.repr(value)}.")
    return int(value)


def check_rate(name: str, value: object) -> float:
    """Validates a number in [0, 1) and returns it as a `float`.

    Raises:
        InputError: The value is not a number or is out of range.
    """
    if not is_number(value) or not 0 <= value < 1:
        raise InputError(f"{name} must be a number in [0, 1), got {value!r}.")
    return float(value)


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raises InputError unless a value is one of the choices. 1 does not count as True, nor 0 as False."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise InputError(f"{name}={value!r} is unknown. Choose one of {', '.join(map(str, choices))}.")


def check_positive(name: str, value: object) -> float:
    """Validates a finite number above 0 and returns it as a `float`.

    Raises:
        InputError: The value is not a finite number or not above 0.
    """
    if not is_number(value) or value <= 0:
        raise InputError(f"{name} must be a positive number, got {value!r}.")
    return float(value)


def check_normalization(mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Validates the pixel mean and standard deviation; returns each as a tuple with one number, or one per channel.

    Raises:
        InputError: A value is neither a number nor a list of numbers, is outside [0, 1], or a standard deviation is 0.
    """
    pair = []
    for name, values in (("mean", mean), ("std", std)):
        try:
            channel_values = (values,) if is_number(values) else tuple(values)
        except TypeError:
            channel_values = ()
        if not channel_values or not all(map(is_number, channel_values)):
            raise InputError(f"normalization {name}={values!r} must be a number or a list with one per channel.")
        if max(channel_values) > 1 or min(channel_values) < 0 or (name == "std" and 0 in channel_values):
            allowed = "[0, 1]" if name == "mean" else "(0, 1]"
            raise InputError(
                f"normalization {name}={values!r} is out of range. Use numbers in {allowed}; divide statistics of "
                f"pixels in [0, 255] by 255."
            )
        pair.append(tuple(map(float, channel_values)))
    return pair[0], pair[1]


def check_setting(name: str, value: object, is_valid: bool, allowed: str) -> None:
    """Raises InputError "NAME must be ALLOWED, got VALUE." unless `is_valid`."""
    if not is_valid:
        raise InputError(f"{name} must be {allowed}, got {value!r}.")


def check_path(name: str, value: object) -> None:
    """Raises InputError unless a value is a path: a string, or an object such as `pathlib.Path`."""
    is_path = isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)
    if not is_path or not value or "\0" in str(value):
        raise InputError(f"{name} must be a path, got {reprlib.repr(value)}.")


def check_instance(name: str, value: object, expected_type: type | tuple[type, ...], expected: str) -> None:
    """Raises InputError "NAME must be EXPECTED, got VALUE." unless a value has the expected type."""
    if not isinstance(value, expected_type):
        raise InputError(f"{name} must be {expected}, got {reprlib.repr(value)}.")


def check_class_names(class_names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """Validates class names and returns them as a tuple.

    Raises:
        InputError: They are not a list or tuple of single-line strings without control characters, or their number is
            not `num_classes`.
    """
    is_list = isinstance(class_names, list | tuple)
    if not is_list or not all(isinstance(name, str) and _is_one_line(name) for name in class_names):
        raise InputError(
            f"class_names must be a list of single-line strings without control characters, got {class_names!r}."
        )
    if len(class_names) != num_classes:
        raise InputError(
            f"class_names has {len(class_names)} names for {num_classes} classes. Provide one name per class."
        )
    return tuple(class_names)


def _is_one_line(name: str) -> bool:
    """Returns whether a name is a line of text. Control characters, printed, can change what a terminal shows."""
    return len(name.splitlines()) == 1 and not any(unicodedata.category(char) == "Cc" for char in name)
