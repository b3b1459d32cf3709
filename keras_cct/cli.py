"""The command line: `keras_cct COMMAND ...`. Arguments and printing only; the work is done elsewhere."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from keras_cct.checks import check_count
from keras_cct.cli_convert import add_convert
from keras_cct.cli_data import add_data
from keras_cct.cli_train import add_train
from keras_cct.errors import InputError
from keras_cct.frameworks import load_frameworks, silent_stderr
from keras_cct.model_config import ModelConfig
from keras_cct.variants import list_models, variant_config, variant_dataset

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after `keras_cct`; those of the process if not given.

    Returns:
        The exit code: 0; 2 where the input or the file system cannot be used; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("keras_cct").setLevel(logging.INFO)
    try:
        options.run(options)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        print(f"keras_cct {options.command}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        hint = " Its run goes on with --resume RUN." if options.command == "train" else ""
        print(f"keras_cct {options.command}: stopped.{hint}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message):
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}. See keras_cct COMMAND --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="keras_cct", description="Compact transformers for Keras 3.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_data(commands)

    evaluate = commands.add_parser("evaluate", help="report top-1 and top-5 on the bundled sample's test images")
    evaluate.add_argument("artefact", help=".keras file or folder of a SavedModel")
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="name the classes of images")
    predict.add_argument("artefact", help=".keras file or folder of a SavedModel")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file of any size")
    predict.add_argument("--top", type=int, default=5, help="number of classes to print (default 5)")
    predict.set_defaults(run=_predict)

    export = commands.add_parser("export", help="write a SavedModel and compare it with Keras")
    export.add_argument("model", help=".keras file")
    export.add_argument("folder", help="folder to make")
    export.set_defaults(run=_export)

    add_convert(commands)

    models = commands.add_parser("models", help="list the published variants")
    models.add_argument("pattern", nargs="?", default="*", help="wildcard, e.g. 'cct_*_sine'")
    models.add_argument("--pretrained", action="store_true", help="list the published weights instead")
    models.set_defaults(run=_models)
    return parser


def _evaluate(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.data import load_sample
    from keras_cct.evaluation import evaluate, load_predictor

    data = load_sample("test")
    accuracy = evaluate(load_predictor(options.artefact), data)
    print(f"{len(data)} images: top-1 {accuracy['top1']:.2f} %, top-5 {accuracy['top5']:.2f} %")


def _predict(options: argparse.Namespace) -> None:
    check_count("--top", options.top)
    load_frameworks()
    from keras_cct.evaluation import load_predictor, predict_files

    predictor = load_predictor(options.artefact)
    with silent_stderr():  # TensorFlow's decoders write there before they raise.
        predictions = list(predict_files(predictor, options.images, options.top))
    for path, classes in zip(options.images, predictions, strict=True):
        print(path)
        for name, probability in classes:
            print(f"  {100 * probability:6.2f} %  {name}")


def _export(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.export import export_saved_model
    from keras_cct.weights import read_keras_file

    export_saved_model(read_keras_file(options.model), options.folder)
    print(f"wrote {options.folder}")


def _models(options: argparse.Namespace) -> None:
    names = list_models(options.pattern)
    if not names:
        raise InputError(f"no variant matches {options.pattern!r}. 'keras_cct models' lists all.")
    if options.pretrained:
        _print_checkpoints(names)
        return
    width = max(24, *map(len, names))
    print(f"{'variant':{width}} {'pixels':>7} {'classes':>7}  data set")
    for name in names:
        config = variant_config(name)
        print(f"{name:{width}} {_image_size(config):>7} {config.num_classes:7}  {variant_dataset(name)}")


def _print_checkpoints(names: list[str]) -> None:
    from keras_cct.catalogue import CHECKPOINTS

    print(f"{'variant':24} {'weights=':14} {'pixels':>7} {'classes':>7} {'epochs':>8} {'top-1 %':>8} {'MB':>6}")
    for checkpoint in CHECKPOINTS:
        if checkpoint.variant in names:
            config = variant_config(checkpoint.variant, **checkpoint.model_fields())
            facts = f"{_image_size(config):>7} {config.num_classes:7} {checkpoint.epochs:>8} {checkpoint.top1:8.2f}"
            print(f"{checkpoint.variant:24} {checkpoint.tag:14} {facts} {4e-6 * checkpoint.num_params:6.1f}")


def _image_size(config: ModelConfig) -> str:
    height, width, _ = config.input_shape
    return f"{height}x{width}"


if __name__ == "__main__":
    sys.exit(main())
