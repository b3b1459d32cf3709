"""The flags of `keras_cct train` that override recipe keys, generated from the rules of the keys."""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from keras_cct.recipe.keys import KeyRule, key_rules
from keras_cct.recipe.loading import UNSUPPORTED_KEYS
from keras_cct.recipe.recipe import Recipe

SHORT_FLAGS = {
    "dataset": ["-d"],
    "batch_size": ["-b"],
    "validation_batch_size_multiplier": ["-vb"],
    "decay_rate": ["--dr"],
    "workers": ["-j"],
    "amp": ["--native-amp", "--apex-amp"],
}
"""Other names of flags, from the reference training script."""

METAVARS = {str: "TEXT", int: "INT", float: "FLOAT", tuple[float, ...]: "FLOAT", dict[str, object]: "NAME=VALUE"}


def add_recipe_flags(group: argparse._ArgumentGroup) -> None:
    """Adds a flag for every key of `Recipe` except data_dir, which is the positional argument DATA."""
    rules = key_rules(Recipe)
    for field in dataclasses.fields(Recipe):
        if field.name != "data_dir":
            _add_flag(group, field, rules[field.name])


def add_unsupported_flags(command: argparse.ArgumentParser) -> None:
    """Adds the flags of the reference training script that are not supported here; using one is an error."""
    for key, reason in UNSUPPORTED_KEYS.items():
        flag = f"--{key.replace('_', '-')}"
        command.add_argument(flag, f"--{key}", nargs="*", action=_Refuse, const=reason, help=argparse.SUPPRESS)


def recipe_overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the recipe keys that the command line sets."""
    return {key: value for key, value in vars(options).items() if key in Recipe.__dataclass_fields__}


def _add_flag(group: argparse._ArgumentGroup, field: dataclasses.Field, rule: KeyRule) -> None:
    flags = [*SHORT_FLAGS.get(field.name, []), f"--{field.name.replace('_', '-')}"]
    settings: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": _help(field, rule)}
    if field.type is bool:
        is_negative = field.name.startswith("no_")
        settings["action"] = "store_true" if is_negative else argparse.BooleanOptionalAction
    else:
        choices = [choice for choice in rule.choices if choice]
        settings["metavar"] = f"{{{','.join(choices)}}}" if choices else METAVARS[field.type]
    if field.type == tuple[float, ...] and 2 in rule.lengths:
        settings["nargs"] = 2
    elif field.type == tuple[float, ...]:
        settings |= {"nargs": "+", "action": _ListThenData, "const": _is_number}
    elif field.type == dict[str, object]:
        settings |= {"nargs": "+", "action": _ListThenData, "const": _is_named_value}
    group.add_argument(*flags, **settings)


def _help(field: dataclasses.Field, rule: KeyRule) -> str:
    required = " required" if field.default is field.default_factory is dataclasses.MISSING else ""
    default = required or f" default: {_default_text(field)}"
    bounds = f" {rule.bounds};" if rule.bounds else ""
    return f"{rule.help} ({f'{bounds}{default}'.strip()})".replace("%", "%%")


def _default_text(field: dataclasses.Field) -> str:
    default = {} if field.default is dataclasses.MISSING else field.default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return " ".join(f"{number:.4g}" for number in default) or "empty"
    return str(default) if default not in ("", {}) else "empty"


class _ListThenData(argparse.Action):
    """Stores a list of values, and one more word after it as DATA, which argparse would add to the list.

    `const` is a function that returns whether a word is a value of the list.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        is_value: Callable[[str], bool] = self.const
        count = next((index for index, word in enumerate(values) if not is_value(word)), len(values))
        rest = values[count:]
        if count == 0 or len(rest) > 1 or (rest and hasattr(namespace, "data_dir")):
            parser.error(f"{option_string} expects {self.metavar} values, got {' '.join(rest)!r}")
        setattr(namespace, self.dest, values[:count])
        if rest:
            namespace.data_dir = rest[0]


class _Refuse(argparse.Action):
    """Rejects a flag of the reference training script that has no effect here; `const` is the reason."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        parser.error(f"{option_string} is not supported: {self.const}. Leave it out")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_named_value(word: str) -> bool:
    return "=" in word
