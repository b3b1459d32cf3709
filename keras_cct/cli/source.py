"""The arguments that name a source of images."""

import argparse
import dataclasses

SOURCE_HELP = "folder of images or of IDX files, .npz file, sample, tfds/NAME or keras/NAME"


def add_source(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds the arguments that name a source of images to a command; without a default it must be named."""
    if default is None:
        parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    else:
        parser.add_argument("source", nargs="?", default=default, help=f"{SOURCE_HELP} (default {default})")
    parser.add_argument("--data-dir", default="", help="for tfds/NAME: the folder that TFDS keeps its sets in")
    parser.add_argument("--class-map", default="", help="text file with a folder name per line, in order")
    parser.add_argument("--train-split", default="train", help="split or folder of the training images (default train)")
    parser.add_argument(
        "--val-split", default="validation", help="split or folder of the evaluation images (default validation)"
    )


def open_named(options: argparse.Namespace):
    """Returns the training and the evaluation images that those arguments name."""
    from keras_cct.data.sources import open_source, source_named

    source = source_named(options.source)
    keys = ("class_map", "train_split", "val_split") + (("data_dir",) if options.data_dir else ())
    return open_source(dataclasses.replace(source, **{key: getattr(options, key) for key in keys}))
