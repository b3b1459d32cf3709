"""The command `keras_cct explain`."""

import argparse
import collections
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.errors import InputError, is_number, printable
from keras_cct.files import replacing
from keras_cct.inference.artifacts import KERAS, artifact_format, find_keras_file
from keras_cct.models.names import NORMALIZATION

if TYPE_CHECKING:
    import numpy as np

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
MIN_SIDE = 224
"""Approximate shorter side of pictures in pixels. Their size is that of the model's images times an integer."""


def add_explain(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    explain = commands.add_parser("explain", help="draw where a model looks: pooling, rollout and attention maps")
    explain.add_argument("model", metavar="MODEL", help="run folder, .keras file or hf://user/name")
    explain.add_argument("images", nargs="+", metavar="IMAGE", help="image file, or folder of image files")
    explain.add_argument(
        "--output", required=True, metavar="DIR", help="new folder, with one folder per image (required)"
    )
    explain.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        default="bilinear",
        help="interpolation of the maps (default: bilinear)",
    )
    explain.add_argument(
        "--color-map", default="viridis", metavar="NAME", help="color map of Matplotlib (default: viridis)"
    )
    explain.add_argument(
        "--alpha", type=float, default=0.5, metavar="FLOAT", help="opacity of the maps, from 0 to 1 (default: 0.5)"
    )
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> None:
    if not is_number(options.alpha) or not 0 <= options.alpha <= 1:
        raise InputError(f"--alpha must be a number in [0, 1], got {options.alpha}.")
    output = Path(options.output)
    if output.exists():
        raise InputError(f"--output {options.output!r} exists already. Choose a new folder.")
    path = find_keras_file(options.model)
    if artifact_format(path) != KERAS:
        raise InputError(f"{str(path)!r} is an exported artifact. Pass the run folder or the .keras file.")
    load_frameworks()
    from keras_cct.explanation.pictures import find_color_map, write_explanations
    from keras_cct.inference.image_files import find_image_files, read_image
    from keras_cct.weights.formats import read_keras_file

    find_color_map(options.color_map)
    model = read_keras_file(path)
    if NORMALIZATION not in [layer.name for layer in model.layers]:
        raise InputError(f"{str(path)!r} takes normalized images, not pixels. Use `keras_cct.explain` in Python.")
    files = [file for image in options.images for file in find_image_files(image)]
    height, width, channels = model.input_shape[1:]
    scale = max(1, round(MIN_SIDE / min(height, width)))
    pixels = [read_image(file, (height, width, channels)) for file in files]
    pictures = [read_image(file, (scale * height, scale * width, 3)) for file in files]
    with replacing(output) as temporary:
        write_explanations(
            model,
            pixels,
            _named(files, pictures),
            temporary,
            interpolation=options.interpolation,
            color_map=options.color_map,
            alpha=options.alpha,
        )
    for name in sorted(output.iterdir()):
        print(f"wrote {printable(str(name))}")


def _named(files: list[Path], pictures: "list[np.ndarray]") -> "dict[str, np.ndarray]":
    """Returns the pictures by file name; equal names get the name of their folder, and if needed a number."""
    counts = collections.Counter(file.stem for file in files)
    named = {}
    for file, picture in zip(files, pictures, strict=True):
        is_unique = counts[file.stem] == 1 and file.stem.strip(".")
        base = file.stem if is_unique else f"{file.absolute().parent.name}-{file.stem}"
        name, number = base, 2
        while name in named:
            name, number = f"{base}-{number}", number + 1
        named[name] = picture
    return named
