"""The command `keras_cct average`."""

import argparse
from typing import Any

from keras_cct.cli.frameworks import load_frameworks


def add_average(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    average = commands.add_parser("average", help="average the best checkpoints of a run; kept only if it is better")
    average.add_argument("run_path", metavar="RUN", help="run folder")
    average.add_argument(
        "--top", type=int, metavar="INT", help="number of checkpoints, at least 2 (default: all that the run kept)"
    )
    average.set_defaults(run=_average)


def _average(options: argparse.Namespace) -> None:
    load_frameworks()
    from keras_cct.training.average import average_checkpoints

    for line in average_checkpoints(options.run_path, options.top).lines():
        print(line)
