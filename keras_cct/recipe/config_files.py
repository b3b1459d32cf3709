"""Recipes in YAML files: those of the package, found by name, and any other."""

import dataclasses
import difflib
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.recipe.original_keys import MEANINGLESS
from keras_cct.recipe.recipe import Recipe

CONFIGS = Path(__file__).parents[1] / "configs"


def load_recipe(name_or_path: str | PathLike, default_model: str = "", **overrides) -> Recipe:
    """Returns the recipe of a config.

    Args:
        name_or_path: Name of a config of this package, e.g. "cifar10", its path in the original, e.g.
            "configs/datasets/cifar10.yml", or the path of a YAML file.
        default_model: Variant where neither the config nor `overrides` names one; empty for an error.
        **overrides: Keys of `Recipe` to replace.

    Raises:
        InputError: There is no such config, or it has an unknown key or an impossible value.
    """
    path = _find_config(name_or_path)
    values = ({"model": default_model} if default_model else {}) | _read_keys(path) | overrides
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key in MEANINGLESS:
            raise InputError(f"recipe key {key!r} means nothing here: {MEANINGLESS[key]}. Leave it out.")
        if key not in known:
            raise InputError(f"unknown recipe key {key!r} in {str(path)!r}. {_hint(str(key), known)}")
    for key in ("model", "dataset"):
        if key not in values:
            raise InputError(f"recipe key {key!r} is missing in {str(path)!r}. Add it, or give --{key} NAME.")
    # As in the original, a key without a value is a key left out.
    return Recipe(**{key: value for key, value in values.items() if value is not None})


def _read_keys(path: Path) -> dict:
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} is not a list of `key: value` lines.")
    return values


def _hint(key: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from {', '.join(known)}."


def _find_config(name_or_path: str | PathLike) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = {config.stem: config for config in sorted(CONFIGS.rglob("*.yml"))}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    of_the_package = CONFIGS.parent / path
    if path.parts[:1] == ("configs",) and of_the_package.is_file():
        return of_the_package
    raise InputError(f"no config {str(name_or_path)!r}. Give the path of a YAML file or one of {', '.join(shipped)}.")
