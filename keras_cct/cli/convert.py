"""The command `keras_cct convert`, and the flag --checkpoint-dir."""

import argparse
import os
from pathlib import Path
from typing import Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cli.inference import add_trust
from keras_cct.errors import InputError
from keras_cct.facts.datasets import class_names
from keras_cct.weights.hub import is_hub_url
from keras_cct.weights.pretrained import CHECKPOINT_FOLDER_VARIABLE, is_tag


def add_convert(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    convert = commands.add_parser("convert", help="write weights in another file format")
    convert.add_argument(
        "source",
        metavar="SOURCE",
        help=".keras, .weights.h5, .safetensors or .pth file, its URL, hf://user/name, or the tag of a checkpoint",
    )
    convert.add_argument(
        "target", metavar="TARGET", help="new file: .keras, .weights.h5, .safetensors, .pth or .pth.tar"
    )
    convert.add_argument(
        "--model",
        metavar="VARIANT",
        help="variant of the weights; required except for a .keras file or hf://user/name, which contain the model",
    )
    convert.add_argument(
        "--img-size",
        nargs="+",
        type=int,
        metavar="INT",
        help="image side, or height and width, in pixels (default: those of the weights)",
    )
    convert.add_argument(
        "--attention-type", metavar="TYPE", help="attention type, e.g. all, gm or spd (default: the variant's)"
    )
    for name, description in (("mean", "mean"), ("std", "standard deviation")):
        convert.add_argument(
            f"--{name}",
            nargs="+",
            type=float,
            metavar="FLOAT",
            help=f"{description} of each channel in [0, 1], for a .keras target (default: those of the variant)",
        )
    convert.add_argument(
        "--class-names",
        metavar="DATASET|FILE",
        help="names of the classes, for a .keras target: those of a dataset, e.g. cifar10, or a text file with one "
        "class per line (default: none)",
    )
    add_checkpoint_dir(convert)
    add_trust(convert)
    convert.set_defaults(run=_convert)


def add_checkpoint_dir(command: argparse.ArgumentParser) -> None:
    """Adds --checkpoint-dir, which sets KERAS_CCT_CHECKPOINT_DIR for this process, to a command."""
    command.add_argument(
        "--checkpoint-dir",
        action=_CheckpointDir,
        metavar="DIR",
        help="read pretrained weights from this folder only, by their file names, without network access "
        "(default: download and cache them)",
    )


class _CheckpointDir(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        os.environ[CHECKPOINT_FOLDER_VARIABLE] = values
        setattr(namespace, self.dest, values)


def _convert(options: argparse.Namespace) -> None:
    size, mean, std = options.img_size, options.mean, options.std
    if (mean is None) != (std is None):
        passed = "--std" if mean is None else "--mean"
        raise InputError(f"--mean and --std must be passed together, got only {passed}. Pass both or neither.")
    load_frameworks()
    from keras_cct.weights.convert import convert_weights

    convert_weights(
        options.source,
        options.target,
        options.model,
        img_size=size * 2 if size and len(size) == 1 else size,
        attention_type=options.attention_type,
        normalization=mean and (mean, std),
        class_names=options.class_names and _read_class_names(options.class_names),
        trust=options.trust,
    )
    has_normalization = is_tag(options.source) or is_hub_url(options.source) or options.source.endswith(".keras")
    if options.target.endswith(".keras") and mean is None and not has_normalization:
        print(f"the model normalizes pixels like {options.model}; use --mean and --std for other values")
    print(f"wrote {options.target}, {Path(options.target).stat().st_size / 1e6:.1f} MB")


def _read_class_names(name: str) -> tuple[str, ...]:
    from keras_cct.data.sources.folder import read_classes

    is_file = os.path.isfile(name)  # noqa: PTH113 # `Path.is_file` fails on names that are too long
    if is_file:
        return read_classes(name, "--class-names")
    try:
        return class_names(name)
    except InputError as error:
        raise InputError(f"--class-names {name!r} is not a file of class names, and {error}") from error
