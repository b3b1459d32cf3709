"""The command `keras_cct export`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.data import SOURCE_HELP, add_source_flags, check_source_flags, open_source_arguments
from keras_cct.cli.frameworks import load_frameworks, silent_stderr
from keras_cct.cli.inference import add_trust
from keras_cct.export.settings import AUTO, DTYPES, ExportSettings
from keras_cct.inference.artifacts import FORMATS, RECIPE, find_keras_file, find_run, saved_split
from keras_cct.recipe.loading import load_recipe
from keras_cct.weights.hub import local_model

if TYPE_CHECKING:
    from keras_cct.data.images import ImageSet


def add_export(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    export = commands.add_parser("export", help="export a model to another runtime and verify it against Keras")
    export.add_argument("model", metavar="MODEL", help="run folder, .keras file or hf://user/name")
    export.add_argument(
        "output",
        metavar="OUT",
        help="new folder (savedmodel, openvino, or several formats) or file (.onnx, .tflite); a SavedModel is written "
        "to OUT/1, the layout of TensorFlow Serving, unless OUT ends in a version number",
    )
    export.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=["savedmodel"],
        help="one or more formats (default: savedmodel)",
    )
    export.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="precision; float16 stores half-precision weights, int8 quantizes the model (default: float32)",
    )
    export.add_argument(
        "--batch", type=int, metavar="INT", help="fixed batch size (default: any batch size; 1 with litert)"
    )
    export.add_argument(
        "--data",
        dest="source",
        metavar="SOURCE",
        help=f"images for verification, int8 calibration and --temperature auto: {SOURCE_HELP} (default: sample, or "
        "the run's for int8 and auto)",
    )
    add_source_flags(export)
    export.add_argument(
        "--max-drop",
        type=float,
        default=1.0,
        metavar="FLOAT",
        help="maximum drop in top-1 accuracy with int8, in percentage points (default: 1)",
    )
    export.add_argument(
        "--temperature",
        type=_parse_temperature,
        metavar=f"FLOAT|{AUTO}",
        help="divide the logits by this number, which calibrates the probabilities; auto fits it on the evaluation "
        "images (default: 1)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an existing artifact")
    add_trust(export)
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    formats = tuple(options.format)
    settings = ExportSettings(
        formats,
        options.dtype,
        options.batch,
        max_drop=options.max_drop,
        overwrite=options.overwrite,
        temperature=options.temperature,
    )
    settings.check_output(Path(options.output))
    settings.check_packages()
    options.model = local_model(options.model)
    load_frameworks()
    from keras_cct.export.model import export_model

    data = _open_images(options)
    with silent_stderr():  # the converters and quantizers log their internals
        reports = export_model(
            options.model,
            options.output,
            formats,
            trust=options.trust,
            dtype=options.dtype,
            batch_size=options.batch,
            data=data,
            max_drop=options.max_drop,
            overwrite=options.overwrite,
            temperature=options.temperature,
        )
    for report in reports:
        print(f"wrote {report}")


def _parse_temperature(text: str) -> float | str:
    try:
        return text if text == AUTO else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or {AUTO}, got {text!r}") from None


def _open_images(options: argparse.Namespace) -> "tuple[ImageSet, ImageSet] | None":
    """Returns the images named by --data; with int8 or a fitted temperature, they default to the dataset of the run."""
    if options.source is not None:
        return open_source_arguments(options)
    run = find_run(find_keras_file(options.model))
    needs_images = options.dtype == "int8" or options.temperature == AUTO
    if needs_images and run is not None:
        check_source_flags(options, "--data")
    if not needs_images or run is None:
        return None
    from keras_cct.data.sources.open import open_data

    return open_data(load_recipe(run / RECIPE), saved_split(run))
