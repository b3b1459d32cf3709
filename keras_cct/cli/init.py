"""The command `keras_cct init`: writes the recipe that `train` would choose for a dataset."""

import argparse
from pathlib import Path
from typing import Any

from keras_cct.cli.recipe_flags import add_recipe_flags, recipe_overrides
from keras_cct.cli.train import choose, source_keys
from keras_cct.errors import InputError
from keras_cct.files import replacing
from keras_cct.models.variants import variant_config


def add_init(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    init = commands.add_parser("init", help="write a recipe for a folder of photos or another dataset")
    init.add_argument("data_dir", metavar="DATA", help="source of images, as for `keras_cct train`")
    init.add_argument(
        "-o", "--output", default="recipe.yml", metavar="FILE.yml", help="new file (default: %(default)s)"
    )
    add_recipe_flags(init.add_argument_group("recipe", "Each flag sets a key of the recipe."))
    init.set_defaults(run=_init, config=None)


def _init(options: argparse.Namespace) -> None:
    path = Path(options.output)
    if path.exists():
        raise InputError(f"--output {options.output!r} exists already. Remove it or choose another file.")
    if not path.parent.is_dir():
        raise InputError(
            f"--output {options.output!r}: the folder {str(path.parent)!r} does not exist. Create it first."
        )
    overrides = recipe_overrides(options)
    if "model" in overrides:
        variant_config(overrides["model"])
    choice = choose(overrides | source_keys(options, overrides))
    with replacing(path) as temporary:
        temporary.write_text(choice.to_yaml(), encoding="utf-8")
    print("\n".join(choice.lines))
    print(f"wrote {path}; change it, then train with `keras_cct train -c {path}`")
