"""The commands that use a trained model: evaluate, predict, export."""

import argparse

from keras_cct.cli.data import add_source, open_named
from keras_cct.cli.frameworks import load_frameworks, silent_stderr
from keras_cct.errors import check_count, check_setting


def add_serving(commands) -> None:
    """Adds the commands to the subparsers of a parser."""
    evaluate = commands.add_parser("evaluate", help="report top-1 and top-5 on evaluation images")
    evaluate.add_argument("artifact", help=".keras file or folder of a SavedModel")
    add_source(evaluate, default="sample")
    evaluate.add_argument(
        "--crop-pct", type=float, default=1.0, help="share of a resized image's short side to keep (default 1)"
    )
    evaluate.add_argument("--interpolation", choices=("bilinear", "bicubic"), default="bicubic", help="resampling")
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="name the classes of images")
    predict.add_argument("artifact", help=".keras file or folder of a SavedModel")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file of any size")
    predict.add_argument("--top", type=int, default=5, help="number of classes to print (default 5)")
    predict.set_defaults(run=_predict)

    export = commands.add_parser("export", help="write a SavedModel and compare it with Keras")
    export.add_argument("model", help=".keras file")
    export.add_argument("folder", help="folder to make")
    export.set_defaults(run=_export)


def _evaluate(options: argparse.Namespace) -> None:
    check_setting("--crop-pct", options.crop_pct, 0 < options.crop_pct <= 1, "above 0 and at most 1")
    load_frameworks()
    from keras_cct.inference.evaluation import evaluate, load_predictor

    predictor = load_predictor(options.artifact)
    _, data = open_named(options)
    accuracy = evaluate(predictor, data, crop_pct=options.crop_pct, interpolation=options.interpolation)
    print(f"{len(data)} images: top-1 {accuracy['top1']:.2f} %, top-5 {accuracy['top5']:.2f} %")


def _predict(options: argparse.Namespace) -> None:
    check_count("--top", options.top)
    load_frameworks()
    from keras_cct.inference.evaluation import load_predictor, predict_files

    predictor = load_predictor(options.artifact)
    with silent_stderr():  # TensorFlow's decoders write there before they raise.
        predictions = list(predict_files(predictor, options.images, options.top))
    for path, classes in zip(options.images, predictions, strict=True):
        print(path)
        for name, probability in classes:
            print(f"  {100 * probability:6.2f} %  {name}")


def _export(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.export.saved_model import export_saved_model
    from keras_cct.weights.formats import read_keras_file

    export_saved_model(read_keras_file(options.model), options.folder)
    print(f"wrote {options.folder}")
