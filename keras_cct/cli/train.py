"""The command `keras_cct train`: the flags of the reference training script, and one flag for every recipe key."""

import argparse
import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.cluster_flags import add_cluster_flags, choose_backend, cluster_of
from keras_cct.cli.convert import add_checkpoint_dir
from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cli.inference import add_trust
from keras_cct.cli.recipe_flags import add_recipe_flags, add_unsupported_flags, recipe_overrides
from keras_cct.cli.report import DEFAULT_COMPARISON
from keras_cct.cli.streams import image_progress
from keras_cct.cluster.settings import is_first_process
from keras_cct.data.sources.source import parse_source
from keras_cct.errors import InputError, check_count
from keras_cct.inference.artifacts import RECIPE
from keras_cct.models.variants import variant_config
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

if TYPE_CHECKING:
    from keras_cct.training.defaults import RecipeChoice

DEFAULT_CONFIG = "sample"


def add_train(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    train = commands.add_parser("train", help="train a model from a recipe")
    train.add_argument(
        "data_dir",
        nargs="?",
        default=argparse.SUPPRESS,
        metavar="DATA",
        help="folder with one folder of images per class, folder of IDX files, .npz file, or name of a dataset "
        "(default: the config's dataset)",
    )
    train.add_argument(
        "-c",
        "--config",
        help="name of a shipped config or path of a YAML file (default: a recipe is chosen for DATA; without DATA "
        f"{DEFAULT_CONFIG})",
    )
    train.add_argument("--output", metavar="DIR", help="run folder, new or empty (default: runs/TIME-MODEL)")
    train.add_argument("--experiment", metavar="NAME", help="same as --output runs/NAME (default: as for --output)")
    train.add_argument(
        "--resume", metavar="RUN", help="folder of an interrupted run to resume (default: start a new run)"
    )
    train.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="INT",
        help="train this many runs with consecutive seeds, on the same split, into one folder (default: 1)",
    )
    train.add_argument(
        "--allow-changed-data",
        action="store_true",
        help="with --resume: continue although the images, labels or files have changed",
    )
    train.add_argument("--print-recipe", action="store_true", help="print the effective recipe and exit")
    train.add_argument("--log-wandb", action="store_true", help="send the metrics to Weights & Biases")
    train.add_argument("--gpu", metavar="LIST", help="indices of the GPUs to use, e.g. 0 or 0,1 (default: all)")
    train.add_argument(
        "--devices",
        default="all",
        metavar="N|all|cpu",
        help="number of devices of this process, all, or cpu (default: all)",
    )
    add_cluster_flags(train.add_argument_group("cluster", "Run the same command in every process."))
    add_checkpoint_dir(train)
    add_trust(train)
    add_recipe_flags(train.add_argument_group("recipe", "Each flag overrides a key of the config."))
    add_unsupported_flags(train)
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    overrides = recipe_overrides(options)
    if options.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    choose_backend(options)
    options.cluster = cluster_of(options)
    check_count("--seeds", options.seeds)
    if options.resume is not None:
        _resume(options, overrides)
        return
    if options.allow_changed_data:
        raise InputError("--allow-changed-data has no effect without --resume. Leave it out.")
    keys = overrides | source_keys(options, overrides)
    if "model" in keys:
        variant_config(keys["model"])
    given_folder = _given_folder(options)
    if needs_choice(options, keys):
        with _quiet_reading():  # `train` reads the same images again, with its warnings
            choice = choose(keys)
        recipe, lines = choice.recipe, choice.lines
    else:
        recipe, lines = load_recipe(options.config or DEFAULT_CONFIG, **keys), ()
        variant_config(recipe.model)
    if options.print_recipe:
        print("".join(f"# {line}\n" for line in lines) + recipe.to_yaml(), end="")
        return
    if is_first_process(options.cluster):
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
    output = given_folder or Path("runs", f"{time.strftime('%Y%m%d-%H%M%S')}-{recipe.model}")
    options.run_folder = output
    load_frameworks()
    if options.seeds > 1 or (recipe.folds and not recipe.fold):
        _train_series(options, _series(options, recipe), output)
        return
    from keras_cct.training.run import train

    train(recipe, output, log_wandb=options.log_wandb, **_where(options))
    if is_first_process(options.cluster):
        _write_report(output)


def _where(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments that `train` and `resume` share."""
    return {"trust": options.trust, "devices": options.devices, "cluster": options.cluster}


def _series(options: argparse.Namespace, recipe: Recipe) -> dict[str, Recipe]:
    """Returns one recipe per fold, or per seed on the same split, by the name of its run folder."""
    if options.cluster is not None:
        raise InputError("--distributed trains one run at a time. Choose one with --seed, or --folds and --fold.")
    if options.seeds == 1:
        return {f"fold-{fold}": dataclasses.replace(recipe, fold=fold) for fold in range(1, recipe.folds + 1)}
    if recipe.folds:
        raise InputError(f"--seeds {options.seeds} conflicts with folds={recipe.folds}. Leave one out.")
    split_seed = recipe.seed if recipe.split_seed < 0 else recipe.split_seed
    seeds = range(recipe.seed, recipe.seed + options.seeds)
    return {f"seed-{seed}": dataclasses.replace(recipe, seed=seed, split_seed=split_seed) for seed in seeds}


def _train_series(options: argparse.Namespace, recipes: dict[str, Recipe], output: Path) -> None:
    """Trains several runs, each in a folder of its own, and compares them."""
    from keras_cct.report.comparison import summarize_runs, write_comparison
    from keras_cct.training.run import train

    for name, recipe in recipes.items():
        options.run_folder = output / name
        train(recipe, options.run_folder, log_wandb=options.log_wandb, **_where(options))
        _write_report(options.run_folder)
    runs = [output / name for name in recipes]
    page = write_comparison(runs, output / DEFAULT_COMPARISON, progress=image_progress)
    print(summarize_runs(runs))
    print(f"comparison in {page}")


def _write_report(run: Path) -> None:
    from keras_cct.report.run_metrics import list_low_recalls
    from keras_cct.report.run_record import RunRecord
    from keras_cct.report.run_report import write_report

    report = write_report(run, progress=image_progress)
    print("".join(f"{line}\n" for line in list_low_recalls(RunRecord.read(run))), end="")
    print(f"report in {report}", flush=True)


def _resume(options: argparse.Namespace, overrides: dict[str, Any]) -> None:
    if options.seeds > 1:
        raise InputError(f"--seeds {options.seeds} conflicts with --resume. Resume one run of the folder.")
    for flag in ("config", "output", "experiment"):
        value = getattr(options, flag)
        if value is not None:
            raise InputError(f"--{flag} {value!r} conflicts with --resume, which uses that of the run. Leave one out.")
    if "data_dir" in overrides:
        overrides["data_dir"] = str(Path(overrides["data_dir"]).absolute())
    if options.print_recipe:
        print(load_recipe(Path(options.resume, RECIPE), **overrides).to_yaml(), end="")
        return
    options.run_folder = Path(options.resume)
    load_frameworks()
    from keras_cct.training.run import resume

    resume(
        options.resume,
        log_wandb=options.log_wandb,
        allow_changed_data=options.allow_changed_data,
        **_where(options),
        **overrides,
    )
    if is_first_process(options.cluster):
        _write_report(options.run_folder)


def needs_choice(options: argparse.Namespace, keys: dict[str, Any]) -> bool:
    """Returns whether the recipe must be chosen for the images: they are named, and no config is."""
    return options.config is None and bool(
        keys.get("data_dir") or keys.get("dataset", DEFAULT_CONFIG) != DEFAULT_CONFIG
    )


@contextlib.contextmanager
def _quiet_reading() -> Iterator[None]:
    logger = logging.getLogger("keras_cct.data.sources")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def choose(keys: dict[str, Any]) -> "RecipeChoice":
    """Returns a recipe for the images that the keys name."""
    load_frameworks()
    from keras_cct.training.defaults import choose_recipe

    return choose_recipe(**keys)


def source_keys(options: argparse.Namespace, overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns the recipe keys that DATA sets: the path of images or, as in other commands, the name of a dataset."""
    data = overrides.get("data_dir")
    if data is None:
        return {}
    has_prefix = data.startswith(("tfds/", "keras/"))
    if not parse_source(data).data_dir and (has_prefix or "dataset" not in overrides):
        return {"dataset": data, "data_dir": ""}
    # Absolute, so that a run can be resumed from another folder. Without a config, the dataset is named after its path.
    keys = {"data_dir": str(Path(data).absolute())}
    return keys if options.config or "dataset" in overrides else keys | {"dataset": Path(keys["data_dir"]).stem}


def _given_folder(options: argparse.Namespace) -> Path | None:
    """Returns the new folder that --output or --experiment names, if there is one, before the images are read."""
    from keras_cct.training.folder import RunFolder

    if options.output is not None and options.experiment is not None:
        raise InputError(
            f"--output {options.output!r} conflicts with --experiment {options.experiment!r}. Leave one out."
        )
    if options.output is not None:
        folder = Path(options.output)
    elif options.experiment:
        folder = Path("runs", options.experiment)
    else:
        return None
    if not options.print_recipe and is_first_process(options.cluster):
        RunFolder.check_is_free(folder)
    return folder
