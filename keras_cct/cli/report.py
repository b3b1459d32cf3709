"""The command `keras_cct report`."""

import argparse
from pathlib import Path
from typing import Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cli.streams import image_progress
from keras_cct.errors import InputError

DEFAULT_COMPARISON = "comparison.html"


def add_report(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    report = commands.add_parser("report", help="write an HTML report of a run, or a comparison of several runs")
    report.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folder; several ones, or a folder of runs, are compared"
    )
    report.add_argument(
        "--output",
        metavar="FILE.html",
        help=f"file to write or replace (default: report.html in RUN, {DEFAULT_COMPARISON} for several runs)",
    )
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    output = options.output
    if output is not None and not output.endswith(".html"):
        raise InputError(f"--output must end in .html, got {output!r}.")
    load_frameworks()
    from keras_cct.report.comparison import write_comparison
    from keras_cct.report.run_record import find_runs
    from keras_cct.report.run_report import write_report

    paths = [path for run in options.runs for path in find_runs(run)]
    if len(paths) == 1:
        written = write_report(paths[0], output, progress=image_progress)
    else:
        folder = Path(options.runs[0]) if len(options.runs) == 1 else Path()
        written = write_comparison(paths, output or folder / DEFAULT_COMPARISON, progress=image_progress)
    print(f"wrote {written}")
