"""The command `convert`, and the flag that keeps commands to a folder of checkpoints."""

import argparse
import os
from pathlib import Path

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.errors import InputError
from keras_cct.facts.datasets import class_names
from keras_cct.weights.pretrained import CHECKPOINT_FOLDER_VARIABLE, is_tag


def add_convert(commands) -> None:
    """Adds the command to the subparsers of a parser."""
    convert = commands.add_parser("convert", help="write weights to another kind of file")
    convert.add_argument(
        "source", help=".keras, .weights.h5, .safetensors or .pth file, its address, or the tag of a checkpoint"
    )
    convert.add_argument("target", help="file to make: .keras, .weights.h5, .safetensors, .pth or .pth.tar")
    convert.add_argument("--model", metavar="VARIANT", help="variant the weights are of (not for a .keras file)")
    convert.add_argument(
        "--img-size", nargs="+", type=int, metavar="PIXELS", help="side, or height and width, of the images"
    )
    convert.add_argument("--attention-type", metavar="TYPE", help="such as all, gm or spd, if not the variant's")
    for name in ("mean", "std"):
        convert.add_argument(
            f"--{name}", nargs="+", type=float, metavar="NUMBER", help=f"{name} of each channel, for a .keras file"
        )
    convert.add_argument("--class-names", metavar="DATASET", help="whose classes they are, e.g. cifar10")
    add_checkpoint_dir(convert)
    convert.set_defaults(run=_convert)


def add_checkpoint_dir(command: argparse.ArgumentParser) -> None:
    """Adds `--checkpoint-dir`, which is KERAS_CCT_CHECKPOINT_DIR for this process, to a command."""
    command.add_argument(
        "--checkpoint-dir",
        action=_CheckpointDir,
        metavar="DIR",
        help="use only the published weights in this folder, by their file names, and no network",
    )


class _CheckpointDir(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        os.environ[CHECKPOINT_FOLDER_VARIABLE] = values
        setattr(namespace, self.dest, values)


def _convert(options: argparse.Namespace) -> None:
    size, mean, std = options.img_size, options.mean, options.std
    if (mean is None) != (std is None):
        raise InputError("--mean and --std belong together. Give both or neither.")
    load_frameworks()
    from keras_cct.weights.convert import convert_weights

    convert_weights(
        options.source,
        options.target,
        options.model,
        img_size=size * 2 if size and len(size) == 1 else size,
        attention_type=options.attention_type,
        normalization=mean and (mean, std),
        class_names=options.class_names and class_names(options.class_names),
    )
    tells_normalization = is_tag(options.source) or options.source.endswith(".keras")
    if options.target.endswith(".keras") and mean is None and not tells_normalization:
        print(f"pixels are normalized as for {options.model}; --mean and --std say otherwise")
    print(f"wrote {options.target}, {Path(options.target).stat().st_size / 1e6:.1f} MB")
