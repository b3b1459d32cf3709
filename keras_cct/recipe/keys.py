"""What a recipe key accepts, declared beside its default: help text, bounds, choices and lengths."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_cct.errors import InputError
from keras_cct.recipe.parsing import TYPE_NAMES, parse_value, shorten

_METADATA_KEY = "keras_cct"


@dataclasses.dataclass(frozen=True)
class KeyRule:
    """What one recipe key accepts. Bounds apply to every number of a list.

    Args:
        help: One sentence that explains the key.
        at_least: Inclusive lower bound.
        above: Exclusive lower bound.
        at_most: Inclusive upper bound.
        below: Exclusive upper bound.
        choices: Accepted strings; the empty string selects the default behavior.
        lengths: Accepted lengths of a list.
    """

    help: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    @property
    def bounds(self) -> str:
        """The bounds in words, e.g. "at least 1 and at most 4096"; empty without bounds."""
        named = (
            ("at least", self.at_least),
            ("above", self.above),
            ("at most", self.at_most),
            ("below", self.below),
        )
        return " and ".join(f"{words} {bound}" for words, bound in named if bound is not None)

    def parse(self, key: str, value: object, value_type: Any) -> Any:
        """Validates a value and returns it in the type of its key.

        Args:
            key: Name of the key or flag, for the error message.
            value: The value from YAML, the command line or Python.
            value_type: A key of `TYPE_NAMES`.

        Raises:
            InputError: The value has another type, is out of bounds, is not one of the choices, or is a list of another
                length.
        """
        try:
            parsed = parse_value(value, value_type)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{key} must be {TYPE_NAMES[value_type]}, got {shorten(value)}.") from error
        if self.choices and parsed not in self.choices:
            names = ", ".join(choice or "'' (empty)" for choice in self.choices)
            raise InputError(f"{key} must be one of {names}, got {shorten(parsed)}.")
        if self.lengths and len(parsed) not in self.lengths:
            counts = " or ".join(map(str, self.lengths))
            raise InputError(f"{key} must be a list of {counts} numbers, got {shorten(parsed)}.")
        numbers = parsed if isinstance(parsed, tuple) else (parsed,)
        if self.bounds and not all(map(self._is_within_bounds, numbers)):
            raise InputError(f"{key} must be {self.bounds}, got {shorten(parsed)}.")
        return parsed

    def _is_within_bounds(self, number: float) -> bool:
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )


def rule_metadata(help_text: str, **rule: Any) -> dict[str, KeyRule]:
    """Returns the metadata of a dataclass field with a help text and the other fields of `KeyRule`."""
    return {_METADATA_KEY: KeyRule(help_text, **rule)}


def recipe_key(default: object, help_text: str, **rule: Any) -> Any:
    """Returns a dataclass field with a default and the metadata of `rule_metadata`."""
    return dataclasses.field(default=default, metadata=rule_metadata(help_text, **rule))


def key_rules(recipe_class: Any) -> Mapping[str, KeyRule]:
    """Returns the rule of every key of a dataclass, by name."""
    return {field.name: field.metadata[_METADATA_KEY] for field in dataclasses.fields(recipe_class)}
