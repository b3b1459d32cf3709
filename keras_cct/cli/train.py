"""The command `keras_cct train`: the flags of the original's script, and one for every key of a recipe."""

import argparse
import dataclasses
import os
import re
import time
from pathlib import Path

from keras_cct.cli.convert import add_checkpoint_dir
from keras_cct.cli.frameworks import load_frameworks
from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config
from keras_cct.recipe.loading import UNSUPPORTED_KEYS, load_recipe
from keras_cct.recipe.recipe import Recipe

DEFAULT_CONFIG = "sample"
PAIRS = ("scale", "ratio", "opt_betas")
SHORT_FLAGS = {
    "dataset": ["-d"],
    "batch_size": ["-b"],
    "validation_batch_size_multiplier": ["-vb"],
    "decay_rate": ["--dr"],
    "workers": ["-j"],
    "amp": ["--native-amp", "--apex-amp"],
}


def add_train(commands) -> None:
    """Adds the command to the subparsers of a parser."""
    train = commands.add_parser("train", help="train a model by a recipe")
    train.add_argument(
        "data_dir", nargs="?", default=argparse.SUPPRESS, metavar="DATA", help="folder or .npz file of the images"
    )
    train.add_argument(
        "-c",
        "--config",
        help=f"name of a shipped config, or path of a YAML file (default {DEFAULT_CONFIG})",
    )
    train.add_argument("--output", help="folder for the run, new or empty (default runs/TIME-MODEL)")
    train.add_argument("--experiment", metavar="NAME", help="the same as --output runs/NAME")
    train.add_argument("--resume", metavar="RUN", help="folder of a run that was stopped, to go on with")
    train.add_argument("--print-recipe", action="store_true", help="print the recipe in effect and do nothing")
    train.add_argument("--log-wandb", action="store_true", help="send the metrics to Weights & Biases")
    train.add_argument("--gpu", metavar="LIST", help="numbers of the GPUs to use, e.g. 0 or 0,1 (default all)")
    add_checkpoint_dir(train)
    _add_recipe_flags(train.add_argument_group("recipe", "Each replaces a key of the config."))
    for key, reason in UNSUPPORTED_KEYS.items():
        flag = f"--{key.replace('_', '-')}"
        train.add_argument(flag, f"--{key}", nargs="*", action=_Refuse, const=reason, help=argparse.SUPPRESS)
    train.set_defaults(run=_train)


class _Refuse(argparse.Action):
    """A flag of the original that means nothing here."""

    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string} means nothing here: {self.const}")


def _add_recipe_flags(group) -> None:
    for field in dataclasses.fields(Recipe):
        if field.name == "data_dir":
            continue
        (description,) = re.findall(rf"^ +{field.name}: (.*)\.$", Recipe.__doc__, flags=re.MULTILINE)
        settings = {"dest": field.name, "default": argparse.SUPPRESS, "help": description.replace("%", "%%")}
        flags = [*SHORT_FLAGS.get(field.name, []), f"--{field.name.replace('_', '-')}"]
        if field.type is not bool:
            nargs = 2 if field.name in PAIRS else None if field.type in (str, int, float) else "+"
            group.add_argument(*flags, nargs=nargs, metavar="VALUE", **settings)
        elif field.name.startswith("no_"):
            group.add_argument(*flags, action="store_true", **settings)
        else:
            group.add_argument(*flags, action=argparse.BooleanOptionalAction, **settings)


def _train(options: argparse.Namespace) -> None:
    overrides = {key: value for key, value in vars(options).items() if key in Recipe.__dataclass_fields__}
    if options.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    if options.resume is not None:
        _resume(options, overrides)
        return
    recipe = load_recipe(options.config or DEFAULT_CONFIG, **overrides | _source(options, overrides))
    variant_config(recipe.model)
    if options.print_recipe:
        print(recipe.to_yaml(), end="")
        return
    output = options.run_folder = _output(options, recipe)
    load_frameworks()
    from keras_cct.training.run import train

    train(recipe, output, log_wandb=options.log_wandb)


def _resume(options: argparse.Namespace, overrides: dict[str, object]) -> None:
    for flag in ("config", "output", "experiment"):
        value = getattr(options, flag)
        if value is not None:
            raise InputError(f"--{flag} {value!r} does not go with --resume, which has its own. Leave one out.")
    if "data_dir" in overrides:
        overrides["data_dir"] = str(Path(overrides["data_dir"]).absolute())
    if options.print_recipe:
        print(load_recipe(Path(options.resume, "recipe.yml"), **overrides).to_yaml(), end="")
        return
    options.run_folder = Path(options.resume)
    load_frameworks()
    from keras_cct.training.run import resume

    resume(options.resume, log_wandb=options.log_wandb, **overrides)


def _source(options: argparse.Namespace, overrides: dict[str, object]) -> dict[str, object]:
    """Returns the keys that DATA stands for."""
    data = overrides.get("data_dir")
    if data is None:
        return {}
    if data.startswith(("tfds/", "keras/")) and not Path(data).exists():
        return {"dataset": data, "data_dir": ""}
    # A run that is resumed elsewhere finds it, and one of the default config is not called a sample.
    keys = {"data_dir": str(Path(data).absolute())}
    return keys if options.config or "dataset" in overrides else keys | {"dataset": Path(data).stem}


def _output(options: argparse.Namespace, recipe: Recipe) -> Path:
    if options.output is not None and options.experiment is not None:
        raise InputError(f"--output {options.output!r} and --experiment {options.experiment!r} exclude each other.")
    if options.output is not None:
        return Path(options.output)
    return Path("runs", options.experiment or f"{time.strftime('%Y%m%d-%H%M%S')}-{recipe.model}")
