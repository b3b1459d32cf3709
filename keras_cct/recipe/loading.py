"""Loads recipes from YAML files: the configs shipped with the package, found by name, and any other file."""

import dataclasses
import difflib
import os
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from keras_cct.errors import InputError, check_path
from keras_cct.recipe.parsing import shorten
from keras_cct.recipe.recipe import Recipe

_SCHEDULE = "the schedules are cosine and step, with one cycle and without noise"
_RATES = "each variant has fixed dropout and stochastic depth rates; `create_model` accepts others"
_BATCH_NORM = "the models have no batch normalization"
_SPLITS = "augmentation splits are not implemented"
_LOADER = "tf.data prefetches the batches"

UNSUPPORTED_KEYS = {
    **dict.fromkeys(("lr_noise", "lr_noise_pct", "lr_noise_std", "lr_cycle_mul", "lr_cycle_limit"), _SCHEDULE),
    "patience_epochs": _SCHEDULE,
    **dict.fromkeys(("drop", "drop_path", "drop_connect", "drop_block"), _RATES),
    **dict.fromkeys(("bn_tf", "bn_momentum", "bn_eps", "sync_bn", "dist_bn", "split_bn"), _BATCH_NORM),
    **dict.fromkeys(("aug_splits", "jsd", "resplit"), _SPLITS),
    **dict.fromkeys(("pin_mem", "no_prefetcher", "use_multi_epochs_loader"), _LOADER),
    "loss": "use bce_loss",
    **dict.fromkeys(("kd_model_name", "teacher_model", "teacher_path"), "use teacher"),
    "gp": "each family has its own pooling",
    "input_size": "use img_size",
    "cutmix_minmax": "use cutmix",
    "epoch_repeats": "use epochs",
    "start_epoch": "`--resume` continues an interrupted run",
    "no_resume_opt": "a resumed run restores its optimizer; initial_checkpoint starts a new run from a model",
    "model_ema_force_cpu": "the averaged weights are stored beside the weights",
    "log_interval": "the log has a line every 30 seconds",
    "save_images": "`keras_cct data show` draws augmented images",
    "channels_last": "tensors are always channels last",
    "torchscript": "`keras_cct export` writes a SavedModel",
    "tta": "`keras_cct evaluate --tta` averages over views",
    "local_rank": "use --distributed, with --process-id if it is not detected",
}
"""Keys of the reference training script that are rejected, and why or what to use instead."""

CONFIGS = Path(__file__).parents[1] / "configs"


def load_recipe(name_or_path: str | PathLike, default_model: str = "", **overrides: Any) -> Recipe:
    """Returns the recipe of a config.

    Args:
        name_or_path: Path of a YAML file, or name of a shipped config, e.g. "cifar10". A path that does not exist
            selects the shipped config of the same file name, e.g. "configs/cifar10.yml".
        default_model: Variant to use if neither the config nor `overrides` names one; if empty, that is an error.
        **overrides: Keys of `Recipe` to replace.

    Raises:
        InputError: The config does not exist or is not valid YAML, a key is unknown or missing, or a value is invalid.
    """
    check_path("config", name_or_path)
    path = find_config(name_or_path)
    values: dict[str, Any] = ({"model": default_model} if default_model else {}) | _read_keys(path) | overrides
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key in UNSUPPORTED_KEYS:
            raise InputError(f"recipe key {key!r} is not supported: {UNSUPPORTED_KEYS[key]}. Leave it out.")
        if key not in known:
            place = "" if key in overrides else f" in {str(path)!r}"
            raise InputError(f"unknown recipe key {shorten(key)}{place}. {_suggest_key(str(key), known)}")
    for key in ("model", "dataset"):
        if values.get(key) is None:
            raise InputError(f"recipe key {key!r} is missing in {str(path)!r}. Add it, or pass --{key} NAME.")
    # As in the reference training script, a key without a value keeps its default.
    return Recipe(**{key: value for key, value in values.items() if value is not None})


def find_config(name_or_path: str | PathLike) -> Path:
    """Returns the path of a config given by path or name, as `load_recipe` describes it.

    Raises:
        InputError: There is no such config.
    """
    path = Path(name_or_path)
    if os.path.isfile(path):  # noqa: PTH113 # `Path.is_file` fails on long names
        return path
    shipped = {config.stem: config for config in sorted(CONFIGS.rglob("*.yml"))}
    name = path.name.removesuffix(path.suffix if path.suffix in (".yml", ".yaml") else "")
    if name not in shipped:
        raise InputError(
            f"no config {shorten(str(name_or_path))}. Pass the path of a YAML file or one of {', '.join(shipped)}."
        )
    # "configs/NAME.yml" is how the reference implementation's README writes it.
    if len(path.parts) > 1 and path.parts[0] != "configs":
        warnings.warn(f"{str(path)!r} does not exist: using the shipped config {name!r}", stacklevel=3)
    return shipped[name]


def _read_keys(path: Path) -> dict[str, Any]:
    from keras_cct.recipe.strict_yaml import read_yaml_file

    values = read_yaml_file(path)
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} does not contain a recipe. Pass a YAML file of `key: value` lines.")
    return values


def _suggest_key(key: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(key[:50], known, n=1)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from {', '.join(known)}."
