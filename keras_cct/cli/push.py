"""The command `keras_cct push`."""

import argparse
import os
import sys
from typing import Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.cli.streams import image_progress
from keras_cct.weights.hub import HubModel


def add_push(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    push = commands.add_parser("push", help="share the best model of a run, with a model card, on the Hugging Face Hub")
    push.add_argument("run_path", metavar="RUN", help="folder of a finished run")
    push.add_argument("hub_url", metavar="URL", help="hf://user/name; the repository is created if it does not exist")
    push.add_argument(
        "--license",
        metavar="NAME",
        help="license of the model, e.g. apache-2.0, mit or cc-by-4.0 (default: the model card states none)",
    )
    push.add_argument("--private", action="store_true", help="only you can read the repository")
    push.set_defaults(run=_push)


def _push(options: argparse.Namespace) -> None:
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when huggingface_hub is imported
    HubModel.parse(options.hub_url).check_upload()  # before TensorFlow, whose import takes seconds
    load_frameworks()
    from keras_cct.report.push import push_run

    page = push_run(
        options.run_path,
        options.hub_url,
        license_id=options.license,
        private=options.private,
        progress=image_progress,
    )
    if options.license is None:
        print("the model card states no license, so nobody else may use the model; --license states one")
    print(f"pushed to {options.hub_url}: {page}")
