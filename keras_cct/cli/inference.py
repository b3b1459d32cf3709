"""The command `keras_cct predict`, and the arguments that name a trained model."""

import argparse
import contextlib
import glob
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from keras_cct.cli.frameworks import load_frameworks, silent_stderr
from keras_cct.errors import InputError, check_count
from keras_cct.export.runtime import RUNTIMES, load_predictor
from keras_cct.files import replacing
from keras_cct.inference.artifacts import artifact_format, find_artifact
from keras_cct.inference.predictors import COMPUTE_DTYPES
from keras_cct.weights.hub import local_model

if TYPE_CHECKING:
    from keras_cct.inference.prediction import Prediction
    from keras_cct.inference.predictor import Predictor

MODEL_HELP = "run folder, .keras file, exported artifact or hf://user/name"
EXIT_UNREADABLE = 2
OUTPUT_FORMATS = ("text", "json", "csv", "jsonl")

_RUNTIMES_WITHOUT_TENSORFLOW = ("onnx", "openvino", "litert")
_STDIN = "-"
_SECONDS_PER_PROGRESS = 0.2


def add_predict(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    predict = commands.add_parser("predict", help="classify images")
    add_model_arguments(predict)
    predict.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image file, folder, glob pattern, or - for an image or paths on standard input",
    )
    predict.add_argument("--top", type=int, default=5, metavar="INT", help="number of classes to print (default: 5)")
    predict.add_argument("--probabilities", action="store_true", help="print all classes, regardless of --top")
    predict.add_argument("--batch-size", type=int, default=64, metavar="INT", help="images per batch (default: 64)")
    predict.add_argument("--format", choices=OUTPUT_FORMATS, default="text", help="output format (default: text)")
    predict.add_argument(
        "--output", metavar="FILE", help="write the predictions to a new file (default: standard output)"
    )
    predict.set_defaults(run=_predict)


def add_model_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the arguments that name a model, its runtime and its precision."""
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "--runtime", choices=RUNTIMES, help="runtime to which a .keras file is exported (default: the runtime of MODEL)"
    )
    command.add_argument(
        "--compute-dtype",
        choices=COMPUTE_DTYPES,
        default="float32",
        help="precision of the computation; bfloat16 requires OpenVINO (default: float32)",
    )
    add_trust(command)


def add_trust(command: argparse.ArgumentParser) -> None:
    """Adds --trust, for `.keras` files of models with other layers than those of this package, to a command."""
    command.add_argument(
        "--trust",
        action="store_true",
        help="load .keras files with Keras, layers of other packages included; such a file can run any code",
    )


def load_model_argument(options: argparse.Namespace) -> "Predictor":
    """Returns the predictor that the arguments of `add_model_arguments` name."""
    model = local_model(options.model)
    name = artifact_format(find_artifact(model))
    if name not in _RUNTIMES_WITHOUT_TENSORFLOW:
        load_frameworks()
    with silent_stderr():  # runtimes and converters log their internals
        return load_predictor(model, options.runtime, options.compute_dtype, trust=options.trust)


def _predict(options: argparse.Namespace) -> int:
    check_count("--top", options.top)
    check_count("--batch-size", options.batch_size)
    if options.output is not None and Path(options.output).exists():
        raise InputError(f"--output {options.output!r} exists already. Remove it or choose another file.")
    from keras_cct.cli.prediction_formats import WRITERS
    from keras_cct.inference.prediction import predict

    images = list(_list_images(options.images))
    predictions = predict(
        load_model_argument(options),
        images,
        top=None if options.probabilities else options.top,
        batch_size=options.batch_size,
        skips_unreadable=True,
    )
    readable = _Readable(_showing_progress(predictions, len(images)))
    with _open_output(options.output) as stream:
        WRITERS[options.format](readable, stream)
    return EXIT_UNREADABLE if readable.num_unreadable else 0


class _Readable:
    """Iterates over the predictions of readable images, and reports the others on standard error.

    Args:
        predictions: The predictions of all images.
    """

    def __init__(self, predictions: "Iterable[Prediction]") -> None:
        self._predictions = predictions
        self.num_unreadable = 0

    def __iter__(self) -> "Iterator[Prediction]":
        for prediction in self._predictions:
            if prediction.error is None:
                yield prediction
            else:
                self.num_unreadable += 1
                print(f"keras_cct predict: {prediction.error}", file=sys.stderr)


def _list_images(arguments: list[str]) -> Iterator[str | bytes]:
    """Yields the files in the arguments, also those in folders; for "-", the image or the paths on standard input."""
    for argument in arguments:
        if argument == _STDIN:
            content = sys.stdin.buffer.read()
            try:
                yield from _list_files(line for line in content.decode().splitlines() if line)
            except UnicodeDecodeError:  # an encoded image is never valid UTF-8
                yield content
        elif glob.has_magic(argument) and not Path(argument).exists():
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 # takes absolute patterns too
            if not matches:
                raise InputError(f"no file matches {argument!r}. Check the pattern.")
            yield from _list_files(matches)
        else:
            yield from _list_files([argument])


def _list_files(paths: Iterable[str]) -> Iterator[str]:
    from keras_cct.inference.image_files import find_image_files

    for path in paths:
        yield from map(str, find_image_files(path))


def _showing_progress(predictions: "Iterable[Prediction]", total: int) -> "Iterator[Prediction]":
    """Reports progress on standard error if it is a terminal and standard output is not."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from predictions
        return
    start = shown = time.monotonic()
    for count, prediction in enumerate(predictions, start=1):
        yield prediction
        now = time.monotonic()
        if now - shown > _SECONDS_PER_PROGRESS:
            shown = now
            speed = count / (now - start)
            left = f"{(total - count) / speed:.0f} s left"
            print(f"\r{count}/{total} images, {speed:.0f} images/s, {left}  ", end="", file=sys.stderr, flush=True)
    if shown != start:
        print(file=sys.stderr)


@contextlib.contextmanager
def _open_output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with (
        replacing(Path(path)) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        yield stream
