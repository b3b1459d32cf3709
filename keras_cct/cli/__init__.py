"""The command line: `keras_cct COMMAND ...`. Only parses arguments and prints."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from keras_cct.cli.average import add_average
from keras_cct.cli.benchmark import add_benchmark
from keras_cct.cli.convert import add_convert
from keras_cct.cli.data import add_data
from keras_cct.cli.evaluate import add_evaluate
from keras_cct.cli.explain import add_explain
from keras_cct.cli.export import add_export
from keras_cct.cli.inference import add_predict
from keras_cct.cli.init import add_init
from keras_cct.cli.models import add_models
from keras_cct.cli.push import add_push
from keras_cct.cli.report import add_report
from keras_cct.cli.streams import LogHandler, lasting_streams, report
from keras_cct.cli.summary import add_summary
from keras_cct.cli.train import add_train
from keras_cct.errors import InputError, VerificationError, one_line
from keras_cct.training.termination import EXIT_TERMINATED, Terminated, raising_terminated

EXIT_BUG = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The arguments after `keras_cct`; by default those of the process.

    Returns:
        The exit code: 0 for success, 1 if what was written differs from its source, 2 for invalid input or file system
        errors, 130 after Ctrl-C, 143 after SIGTERM. A process of a cluster ends with 75 if another one has ended.
    """
    with lasting_streams():
        parser = create_parser()
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return 0
        # Standard output can be JSON or CSV, so what other packages log goes to standard error.
        handlers = [LogHandler(), logging.StreamHandler()]
        handlers[0].addFilter(_is_own)
        handlers[1].addFilter(lambda record: not _is_own(record))
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=handlers)
        logging.getLogger("keras_cct").setLevel(logging.INFO)
        code = _run(options)
        if code and getattr(options, "cluster", None) is not None:
            os._exit(code)  # At a normal end JAX would wait for processes that have ended, and then abort this one.
        return code


def _run(options: argparse.Namespace) -> int:
    name = f"keras_cct {options.command}"
    try:
        with warnings.catch_warnings(), raising_terminated():
            warnings.showwarning = _print_warning
            warnings.filterwarnings("ignore", module=r"PIL\.")  # one image can have thousands of malformed tags
            code = options.run(options) or 0
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        return 0  # The reader of the output, e.g. `head`, has exited.
    except (InputError, OSError, VerificationError, UnicodeEncodeError, MemoryError) as error:
        report(f"{name}: {_describe(error)}")
        return EXIT_BUG if isinstance(error, VerificationError) else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        report(f"{name}: interrupted.{_resume_hint(options)}")
        return EXIT_INTERRUPTED
    except Terminated:
        report(f"{name}: terminated.{_resume_hint(options)}")
        return EXIT_TERMINATED


def _describe(error: Exception) -> str:
    """Returns the message of an error, in one line."""
    if isinstance(error, UnicodeEncodeError):
        message = f"the name {error.object!r} is not valid UTF-8, which TensorFlow requires. Rename it."
    elif isinstance(error, MemoryError):
        message = f"not enough memory ({error}). Use smaller images or batches, or a machine with more memory."
    elif isinstance(error, OSError) and error.strerror is not None:
        path = "" if error.filename is None else f"{error.filename!r}: "
        message = f"{path}{error.strerror}. Check the path, its permissions and the free space."
    else:
        message = str(error)
    return one_line(message)


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.startswith("keras_cct")


def _resume_hint(options: argparse.Namespace) -> str:
    folder = getattr(options, "run_folder", None)
    if folder is None or not folder.exists():
        return ""
    if options.distributed:
        return f" Start all processes again, with --resume {folder}."
    return f" Resume with `keras_cct train --resume {folder}`."


def _print_warning(message: Warning | str, *_details: object, **_options: object) -> None:
    report(f"warning: {message}")


class _Parser(argparse.ArgumentParser):
    """A parser that reports a usage error in one line, which refers to `--help` of the command."""

    # typeshed declares overloads that differ in the type of the namespace only.
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        namespace, unknown = super().parse_known_args(args, namespace)
        if len(unknown) == 1 and not unknown[0].startswith("-"):
            # Python 3.11 does not find an optional argument such as DATA if flags are between it and the one before.
            for action in self._actions:
                if action.nargs == "?" and not action.option_strings and getattr(namespace, action.dest) is None:
                    setattr(namespace, action.dest, unknown.pop())
                    break
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {one_line(message)}. Run `{self.prog} --help`.\n")


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_arguments: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"keras_cct {version('keras_cct')}")
        except PackageNotFoundError:
            parser.error("the package is not installed, so its version is unknown")
        parser.exit()


def create_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = _Parser(prog="keras_cct", description="Compact transformers for Keras 3.")
    parser.add_argument("--version", nargs=0, action=_PrintVersion, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_train(commands)
    add_init(commands)
    add_data(commands)
    add_evaluate(commands)
    add_predict(commands)
    add_report(commands)
    add_explain(commands)
    add_export(commands)
    add_benchmark(commands)
    add_average(commands)
    add_push(commands)
    add_convert(commands)
    add_models(commands)
    add_summary(commands)
    return parser
