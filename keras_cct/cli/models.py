"""The command `keras_cct models`."""

import argparse
from typing import Any

from keras_cct.cli.summary import add_table_format, print_table
from keras_cct.errors import InputError
from keras_cct.models.config import ModelConfig
from keras_cct.models.variants import list_models, variant_config, variant_dataset
from keras_cct.weights.pretrained import CHECKPOINTS


def add_models(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    models = commands.add_parser("models", help="list the variants and their pretrained weights")
    models.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="wildcard, e.g. 'cct_*_sine'")
    models.add_argument("--pretrained", action="store_true", help="list the pretrained weights instead")
    models.add_argument(
        "--table", action="store_true", help="print parameters, MACs, activation memory and published accuracy"
    )
    add_table_format(models)
    models.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> None:
    names = list_models(options.pattern)
    if not names:
        raise InputError(f"no variant matches {options.pattern!r}. Run `keras_cct models` for the full list.")
    if options.format != "text" and not options.table:
        raise InputError(f"--format {options.format} has an effect with --table only. Add --table.")
    if options.table and options.pretrained:
        raise InputError("--table conflicts with --pretrained. Use one of them.")
    if options.table:
        print_table(names, options.format)
        return
    if options.pretrained:
        _print_checkpoints(names)
        return
    width = max(24, *map(len, names))
    print(f"{'variant':{width}} {'pixels':>7} {'classes':>7}  dataset")
    for name in names:
        config = variant_config(name)
        print(f"{name:{width}} {_image_size(config):>7} {config.num_classes:7}  {variant_dataset(name)}")


def _print_checkpoints(names: list[str]) -> None:
    print(f"{'variant':24} {'weights=':14} {'pixels':>7} {'classes':>7} {'epochs':>8} {'top-1 %':>8} {'MB':>6}")
    for checkpoint in CHECKPOINTS:
        if checkpoint.variant in names:
            config = variant_config(checkpoint.variant, **checkpoint.model_fields())
            columns = f"{_image_size(config):>7} {config.num_classes:7} {checkpoint.epochs:>8} {checkpoint.top1:8.2f}"
            print(f"{checkpoint.variant:24} {checkpoint.tag:14} {columns} {4e-6 * checkpoint.num_params:6.1f}")


def _image_size(config: ModelConfig) -> str:
    height, width, _ = config.input_shape
    return f"{height}x{width}"
