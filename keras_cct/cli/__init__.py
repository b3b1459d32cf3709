"""The command line: `keras_cct COMMAND ...`. Arguments and printing only; the work is done elsewhere."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from keras_cct.cli.convert import add_convert
from keras_cct.cli.data import add_data
from keras_cct.cli.inference import add_serving
from keras_cct.cli.models import add_models
from keras_cct.cli.train import add_train
from keras_cct.errors import InputError

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
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            options.run(options)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        print(f"keras_cct {options.command}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        folder = getattr(options, "run_folder", None)
        hint = f" --resume {folder} goes on." if folder is not None and folder.exists() else ""
        print(f"keras_cct {options.command}: stopped.{hint}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _print_warning(message, *_details) -> None:
    print(f"warning: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message):
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}. See keras_cct COMMAND --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="keras_cct", description="Compact transformers for Keras 3.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_data(commands)
    add_serving(commands)
    add_convert(commands)
    add_models(commands)
    return parser
