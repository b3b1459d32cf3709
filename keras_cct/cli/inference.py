"""The commands that use a trained model: evaluate, predict and export."""

import argparse
from typing import Any

from keras_cct.cli.data import add_source, open_source_arguments
from keras_cct.cli.frameworks import load_frameworks, silent_stderr
from keras_cct.errors import check_count
from keras_cct.recipe.keys import key_rules
from keras_cct.recipe.recipe import Recipe

MODEL_HELP = "run folder, .keras file or folder of a SavedModel"


def add_inference(commands: Any) -> None:
    """Adds the commands to the subparsers of the main parser."""
    interpolations = key_rules(Recipe)["interpolation"].choices
    evaluate = commands.add_parser("evaluate", help="report top-1 and top-5 accuracy on evaluation images")
    evaluate.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_source(evaluate, default="sample")
    evaluate.add_argument(
        "--crop-pct",
        type=float,
        default=1.0,
        metavar="FLOAT",
        help="fraction of the resized image's short side in the center crop (default: 1)",
    )
    evaluate.add_argument(
        "--interpolation", choices=interpolations, default="bicubic", help="resize interpolation (default: bicubic)"
    )
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="classify image files")
    predict.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file of any size")
    predict.add_argument("--top", type=int, default=5, metavar="INT", help="number of classes to print (default: 5)")
    predict.set_defaults(run=_predict)

    export = commands.add_parser("export", help="write a SavedModel and verify it against Keras")
    export.add_argument("model", metavar="MODEL", help="run folder or .keras file")
    export.add_argument("folder", metavar="DIR", help="new folder for the SavedModel")
    export.set_defaults(run=_export)


def _evaluate(options: argparse.Namespace) -> None:
    crop_pct = key_rules(Recipe)["crop_pct"].parse("--crop-pct", options.crop_pct, float)
    load_frameworks()
    from keras_cct.inference.evaluation import evaluate
    from keras_cct.inference.predictors import load_predictor

    predictor = load_predictor(options.model)
    _, data = open_source_arguments(options)
    accuracy = evaluate(predictor, data, crop_pct=crop_pct, interpolation=options.interpolation)
    print(f"{len(data)} images: top-1 {accuracy['top1']:.2f} %, top-5 {accuracy['top5']:.2f} %")


def _predict(options: argparse.Namespace) -> None:
    check_count("--top", options.top)
    load_frameworks()
    from keras_cct.inference.prediction import predict_files
    from keras_cct.inference.predictors import load_predictor

    predictor = load_predictor(options.model)
    with silent_stderr():  # TensorFlow's decoders log errors before they raise them.
        predictions = list(predict_files(predictor, options.images, options.top))
    for path, classes in zip(options.images, predictions, strict=True):
        print(path)
        for name, probability in classes:
            print(f"  {100 * probability:6.2f} %  {name}")


def _export(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.export.saved_model import export_saved_model
    from keras_cct.inference.artifacts import find_keras_file
    from keras_cct.weights.formats import read_keras_file

    export_saved_model(read_keras_file(find_keras_file(options.model)), options.folder)
    print(f"wrote {options.folder}")
