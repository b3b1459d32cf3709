"""Recipes in YAML files: those of the package, found by name, and any other."""

import dataclasses
import difflib
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe

_SCHEDULE = "the schedules are cosine and step, one cycle, without noise"
_RATES = "a variant has its own rates, as in the original; create_model takes others"
_BATCH_NORM = "the models have no batch normalization"
_SPLITS = "there are no splits of augmented images"
_LOADER = "tf.data feeds the devices"

UNSUPPORTED_KEYS = {
    **dict.fromkeys(("lr_noise", "lr_noise_pct", "lr_noise_std", "lr_cycle_mul", "lr_cycle_limit"), _SCHEDULE),
    "patience_epochs": _SCHEDULE,
    **dict.fromkeys(("drop", "drop_path", "drop_connect", "drop_block"), _RATES),
    **dict.fromkeys(("bn_tf", "bn_momentum", "bn_eps", "sync_bn", "dist_bn", "split_bn"), _BATCH_NORM),
    **dict.fromkeys(("aug_splits", "jsd", "resplit"), _SPLITS),
    **dict.fromkeys(("pin_mem", "no_prefetcher", "use_multi_epochs_loader"), _LOADER),
    "gp": "a model has its own pooling",
    "input_size": "img_size is the key",
    "cutmix_minmax": "cutmix is the key",
    "epoch_repeats": "epochs is the key",
    "start_epoch": "--resume goes on where a run stopped",
    "no_resume_opt": "a resumed run has its optimizer; initial_checkpoint starts a new one from a model",
    "model_ema_force_cpu": "the average lies where the weights lie",
    "log_interval": "the log has a line every 30 seconds",
    "save_images": "'keras_cct data show' draws augmented images",
    "channels_last": "tensors are channels last",
    "torchscript": "'keras_cct export' writes a SavedModel",
    "tta": "an image is evaluated once",
    "local_rank": "one process trains on all devices",
}


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
        if key in UNSUPPORTED_KEYS:
            raise InputError(f"recipe key {key!r} means nothing here: {UNSUPPORTED_KEYS[key]}. Leave it out.")
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
