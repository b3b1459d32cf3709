"""The command `keras_cct evaluate`."""

import argparse
from pathlib import Path
from typing import Any

from keras_cct.cli.data import add_evaluation_source, check_source_flags, open_evaluation_arguments
from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cli.inference import add_model_arguments, load_model_argument
from keras_cct.cli.streams import image_progress
from keras_cct.errors import InputError
from keras_cct.evaluation.views import FIVE_CROP_PCT, TTA
from keras_cct.inference.artifacts import RECIPE, find_run
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe


def add_evaluate(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    interpolations = key_rules(Recipe)["interpolation"].choices
    evaluate = commands.add_parser("evaluate", help="measure accuracy, metrics per class and calibration on images")
    add_model_arguments(evaluate)
    add_evaluation_source(evaluate)
    evaluate.add_argument(
        "--report",
        metavar="DIR",
        help="new folder for metrics.json, per_class.csv, confusion.csv and pictures (default: none)",
    )
    evaluate.add_argument(
        "--label-map",
        metavar="FILE.csv",
        help="CSV file with the model's class for each class of the dataset, e.g. n02099601,golden retriever "
        "(default: classes are matched by name)",
    )
    evaluate.add_argument(
        "--tta",
        choices=TTA,
        help="test-time augmentation: average over an image and its mirror image, or over five crops (default: none)",
    )
    evaluate.add_argument(
        "--crop-pct",
        type=float,
        metavar="FLOAT",
        help="fraction of the resized image's short side in a crop (default: that of the run; otherwise 1, "
        f"{FIVE_CROP_PCT} with five-crop)",
    )
    evaluate.add_argument(
        "--interpolation",
        choices=interpolations,
        help="resize interpolation (default: that of the run; otherwise bicubic)",
    )
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    if options.crop_pct is not None:
        key_rules(Recipe)["crop_pct"].parse("--crop-pct", options.crop_pct, float)
    if options.source is None and find_run(options.model) is not None:
        check_source_flags(options, "DATA")
    from keras_cct.evaluation.class_matching import read_label_map

    label_map = None if options.label_map is None else read_label_map(options.label_map)
    if options.report is not None and Path(options.report).exists():
        raise InputError(f"--report {options.report!r} exists already. Remove it or choose another folder.")
    predictor = load_model_argument(options)
    load_frameworks()
    from keras_cct.evaluation.evaluate import evaluate

    crop_pct, interpolation = _resizing(options)
    data = open_evaluation_arguments(options)
    with image_progress(len(data), "evaluating") as advance:
        evaluation = evaluate(
            predictor,
            data,
            crop_pct=crop_pct,
            interpolation=interpolation,
            label_map=label_map,
            tta=options.tta,
            on_batch=advance,
        )
    top5 = f", top-5 {evaluation.top5:.2f} %" if len(evaluation.class_names) > 5 else ""
    print(f"{len(data)} images: top-1 {evaluation.top1:.2f} %{top5}")
    speed = f"{evaluation.images_per_second:,.0f} images/s"
    print(f"loss {evaluation.loss:.4f}, macro F1 {evaluation.macro_f1:.2f} %, {speed}")
    print(
        f"calibration error {evaluation.calibration_error:.2f} %, {evaluation.calibrated_error:.2f} % with temperature "
        f"{evaluation.temperature:.3g}"
    )
    if options.report is not None:
        from keras_cct.report.evaluation_folder import write_evaluation_folder

        write_evaluation_folder(evaluation, options.report)
        print(f"wrote {options.report}")


def _resizing(options: argparse.Namespace) -> tuple[float, str]:
    """Returns crop_pct and interpolation: those that are given, of the recipe of a run, or the defaults."""
    run = find_run(options.model)
    recipe = None if run is None else load_recipe(run / RECIPE)
    crop_pct = 1.0 if recipe is None else recipe.crop_pct
    if options.tta == "five-crop":
        crop_pct = min(crop_pct, FIVE_CROP_PCT)
    interpolation = "bicubic" if recipe is None else recipe.interpolation
    return options.crop_pct or crop_pct, options.interpolation or interpolation
