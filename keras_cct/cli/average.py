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

    result = average_checkpoints(options.run_path, options.top)
    names = {"top1": "top-1", "top5": "top-5", "loss": "loss"}
    digits, unit = (4, "") if result.metric == "loss" else (2, " %")
    print(f"best checkpoint, epoch {result.epochs[0]}: {names[result.metric]} {result.best:.{digits}f}{unit}")
    epochs = ", ".join(map(str, result.epochs))
    print(f"average of epochs {epochs}: {names[result.metric]} {result.average:.{digits}f}{unit}")
    if result.path is None:
        print("not kept: the average is not better than the best checkpoint")
    else:
        print(f"wrote {result.path}")
