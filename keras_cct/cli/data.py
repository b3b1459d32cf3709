"""The command `keras_cct data`, and the arguments that name a source of images."""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.data.sources.source import parse_source
from keras_cct.errors import InputError, printable
from keras_cct.inference.artifacts import RECIPE, find_run, saved_split
from keras_cct.models.variants import variant_config
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet
    from keras_cct.data.sources.source import Source

log = logging.getLogger(__name__)

DEFAULT_VARIANT = "cct_14_7x2_224"
"""Determines the image size if the config, the images and --model do not."""

SOURCE_FLAGS = ("class_map", "train_split", "val_split", "val_fraction", "label_depth", "seed")

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
    show.add_argument(
        "--model",
        metavar="VARIANT",
        help=f"variant whose image size is used if no other is known (default: {DEFAULT_VARIANT})",
    )
    show.add_argument(
        "--output", default="contact_sheet.png", metavar="FILE.png", help="file to write (default: %(default)s)"
    )
    show.set_defaults(run=_show)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name a source of images to a command."""
    parser.add_argument("source", metavar="DATA", help=SOURCE_HELP)
    add_source_flags(parser)


def add_evaluation_source(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name evaluation images to a command with an argument MODEL."""
    help_text = f"{SOURCE_HELP} (default: the evaluation images of the run; sample if MODEL is not in a run folder)"
    parser.add_argument("source", nargs="?", metavar="DATA", help=help_text)
    add_source_flags(parser)


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `add_source` to a command that names the source in another way."""
    parser.add_argument(
        "--data-dir",
        default="",
        metavar="DIR",
        help="folder of TensorFlow Datasets, for tfds/NAME (default: ~/tensorflow_datasets)",
    )
    parser.add_argument(
        "--class-map",
        default="",
        metavar="FILE",
        help="text file with one folder name per line, in class order (default: natural order)",
    )
    parser.add_argument(
        "--train-split",
        default="train",
        metavar="NAME",
        help="split, slice such as train[:80%%], or folder of training images (default: train)",
    )
    parser.add_argument(
        "--val-split",
        default="validation",
        metavar="NAME",
        help="split, slice or folder of evaluation images (default: validation)",
    )
    parser.add_argument(
        "--val-fraction",
        default=0.2,
        metavar="FLOAT",
        help="fraction of the images to hold out if a folder has no evaluation images (default: 0.2)",
    )
    parser.add_argument(
        "--label-depth",
        default=0,
        metavar="INT",
        help="depth of the class folders: 1 for the outermost, 2 for those in them, ...; 0 for the innermost ones "
        "(default: 0)",
    )
    parser.add_argument("--seed", default=42, metavar="INT", help="seed of the split of a folder (default: 42)")


def open_source_arguments(options: argparse.Namespace) -> "tuple[ImageSet, ImageSet]":
    """Returns the training and the evaluation images that the arguments of `add_source` name."""
    from keras_cct.data.sources.open import open_source

    return open_source(_parse_source_arguments(options))


def open_evaluation_arguments(options: argparse.Namespace) -> "ImageSet":
    """Returns the evaluation images that the arguments of `add_evaluation_source` name.

    These are all images of a folder without splits. Without DATA they are those that the run of the model has used.
    """
    from keras_cct.data.sources.open import open_data, open_evaluation

    run = find_run(options.model)
    if options.source is None and run is not None:
        return open_data(load_recipe(run / RECIPE), saved_split(run))[1]
    options.source = options.source or "sample"
    data = open_evaluation(_parse_source_arguments(options))
    if run is not None:
        _warn_about_training_images(run, options.source, data)
    return data


def check_source_flags(options: argparse.Namespace, argument: str) -> None:
    """Raises InputError if a flag of `add_source_flags` is set, although the images are those of a run.

    Args:
        options: The parsed arguments.
        argument: What would name other images.
    """
    defaults = argparse.ArgumentParser()
    add_source_flags(defaults)
    for key, default in vars(defaults.parse_args([])).items():
        value = getattr(options, key)
        if value != default:
            raise InputError(
                f"--{key.replace('_', '-')} {value} has no effect without {argument}, because the images are those of "
                f"the run. Pass {argument}, or leave it out."
            )


def _warn_about_training_images(run: Path, source: str, data: "ImageSet") -> None:
    """Logs how many of the images the run has been trained on, if it has divided their folder."""
    from keras_cct.data.sources.split import read_split

    split_file = saved_split(run)
    if split_file is None:
        return
    # The folder may have been moved, or copied to another host, since the run.
    folders = [Path(load_recipe(run / RECIPE).data_dir), Path(source)]
    known = {str(Path(path).resolve()) for folder in folders for path, _ in read_split(split_file, folder)[0]}
    count = sum(str(Path(name).resolve()) in known for name in getattr(data, "names", ()))
    if count:
        log.warning(
            "%d of these %d images have trained the model, which raises its accuracy; `keras_cct evaluate %s` uses "
            "only those that were held out",
            count,
            len(data),
            run,
        )


def _parse_source_arguments(options: argparse.Namespace) -> "Source":
    source = parse_source(options.source)
    keys = SOURCE_FLAGS + (("data_dir",) if options.data_dir else ())
    rules, types = key_rules(Recipe), {field.name: field.type for field in dataclasses.fields(Recipe)}
    values = {key: getattr(options, key) for key in keys}
    parsed = {key: rules[key].parse(f"--{key.replace('_', '-')}", value, types[key]) for key, value in values.items()}
    return dataclasses.replace(source, **parsed)


def _stats(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.data.statistics import image_statistics

    splits = open_source_arguments(options)
    statistics = [image_statistics(data) for data in splits]
    class_names = [printable(name) for name in splits[0].class_names]
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
