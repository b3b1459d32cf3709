"""The command `keras_cct data`, and the arguments that name a source of images."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.data.sources.source import parse_source
from keras_cct.errors import InputError
from keras_cct.models.variants import variant_config
from keras_cct.recipe.loading import load_recipe

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet

DEFAULT_VARIANT = "cct_14_7x2_224"
"""Determines the image size if the config, the images and --model do not."""

SOURCE_HELP = "folder of images or of IDX files, .npz file, sample, tfds/NAME or keras/NAME"


def add_data(commands: Any) -> None:
    """Adds `data` and its commands to the subparsers of the main parser."""
    data = commands.add_parser("data", help="inspect images, or write them as PNG files")
    data_commands = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")

    stats = data_commands.add_parser("stats", help="count images per class; report sizes, mean and standard deviation")
    add_source(stats)
    stats.set_defaults(run=_stats)

    to_folder = data_commands.add_parser("to-folder", help="write a folder of PNG files per split and class")
    add_source(to_folder)
    to_folder.add_argument("folder", metavar="DIR", help="new folder")
    to_folder.set_defaults(run=_to_folder)

    show = data_commands.add_parser("show", help="write a contact sheet of augmented training images")
    show.add_argument("source", nargs="?", metavar="DATA", help=f"{SOURCE_HELP} (default: the config's dataset)")
    show.add_argument("-c", "--config", default="sample", help="config with the augmentation (default: sample)")
    show.add_argument("--model", metavar="VARIANT", help="variant whose image size is used if no other is known")
    show.add_argument(
        "--output", default="contact_sheet.png", metavar="FILE.png", help="file to write (default: %(default)s)"
    )
    show.set_defaults(run=_show)


def add_source(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds the arguments that name a source of images to a command; DATA is required unless it has a default."""
    if default is None:
        parser.add_argument("source", metavar="DATA", help=SOURCE_HELP)
    else:
        help_text = f"{SOURCE_HELP} (default: {default})"
        parser.add_argument("source", nargs="?", default=default, metavar="DATA", help=help_text)
    add_source_flags(parser)


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `add_source` to a command that names the source in another way."""
    parser.add_argument("--data-dir", default="", metavar="DIR", help="folder of TensorFlow Datasets, for tfds/NAME")
    parser.add_argument(
        "--class-map", default="", metavar="FILE", help="text file with one folder name per line, in class order"
    )
    parser.add_argument(
        "--train-split", default="train", metavar="NAME", help="split or folder of training images (default: train)"
    )
    parser.add_argument(
        "--val-split",
        default="validation",
        metavar="NAME",
        help="split or folder of evaluation images (default: validation)",
    )


def open_source_arguments(options: argparse.Namespace) -> "tuple[ImageSet, ImageSet]":
    """Returns the training and the evaluation images that the arguments of `add_source` name."""
    from keras_cct.data.sources.open import open_source

    source = parse_source(options.source)
    keys = ("class_map", "train_split", "val_split") + (("data_dir",) if options.data_dir else ())
    return open_source(dataclasses.replace(source, **{key: getattr(options, key) for key in keys}))


def _stats(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.data.statistics import image_statistics

    splits = open_source_arguments(options)
    statistics = [image_statistics(data) for data in splits]
    class_names = splits[0].class_names
    width = max(5, *map(len, class_names))
    print(f"{'class':{width}} {'train':>9} {'val':>9}")
    for index, name in enumerate(class_names):
        print(f"{name:{width}} {statistics[0].counts[index]:9} {statistics[1].counts[index]:9}")
    print(f"{'all':{width}} {statistics[0].counts.sum():9} {statistics[1].counts.sum():9}")
    for split, stats in zip(("train", "val"), statistics, strict=True):
        (low_height, low_width), (high_height, high_width) = stats.sizes.min(axis=0), stats.sizes.max(axis=0)
        print(f"{split}: height {low_height} to {high_height}, width {low_width} to {high_width} pixels")
    for key in ("mean", "std"):
        print(f"{key}: [{', '.join(f'{value:.4f}' for value in getattr(statistics[0], key))}]")


def _to_folder(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.data.folder_writer import write_folder

    class_map = write_folder(*open_source_arguments(options), options.folder)
    print(f"wrote {options.folder}; `--class-map {class_map}` keeps the order of the classes")


def _show(options: argparse.Namespace) -> None:
    if not options.output.endswith(".png"):
        raise InputError(f"--output must end in .png, got {options.output!r}.")
    if not Path(options.output).parent.is_dir():
        raise InputError(
            f"the folder of --output {options.output!r} does not exist. Create {str(Path(options.output).parent)!r}."
        )
    overrides = {"model": options.model} if options.model else {}
    recipe = load_recipe(options.config, default_model=DEFAULT_VARIANT, **overrides)
    variant_size = variant_config(recipe.model).input_shape[:2]
    load_frameworks()
    from keras_cct.data.contact_sheet import write_contact_sheet
    from keras_cct.data.pipeline import model_image_shape
    from keras_cct.data.sources.open import open_data

    if options.source is not None:
        source = parse_source(options.source)
        recipe = dataclasses.replace(recipe, dataset=source.dataset, data_dir=source.data_dir, num_classes=0)
    train, _ = open_data(recipe)
    write_contact_sheet(train, recipe, model_image_shape(recipe, train, variant_size), options.output)
    print(f"wrote {options.output}")
