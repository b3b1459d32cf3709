"""Runs every comparison of speed, and writes the results to one file named after the CPU and the date.

Each result is written when it is there, so that those before an interruption are kept.

    python benchmarks/run_all.py --vit-pytorch path/to/vit_pytorch/cct.py --compact-transformers path/to/the/clone

Without a path, the comparisons that need it are left out, and without a GPU those on GPUs. Nothing else should run on
the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import RESULTS, gpu_name, write_results
from model_race import Parser

from keras_cct.errors import InputError

FOLDER = Path(__file__).parent
ENVIRONMENTS = {"jax_race": {"KERAS_BACKEND": "jax"}}
"""Environment variables of comparisons, by name."""


def main() -> None:
    """Runs the comparisons one after the other."""
    parser = Parser(description="Run every comparison of speed and write the results to one file.")
    parser.add_argument("--vit-pytorch", metavar="FILE", help="vit_pytorch/cct.py")
    parser.add_argument("--compact-transformers", metavar="DIR", help="clone of Compact-Transformers")
    parser.add_argument("--output", default=RESULTS, type=Path, metavar="DIR", help="folder of the results")
    options = parser.parse_args()
    try:
        commands = list_commands(options)
    except InputError as error:
        parser.error(str(error))
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands.items():
            print(f"== {name}", flush=True)
            report = Path(folder, f"{name}.json")
            program = [sys.executable, str(FOLDER / command[0]), *command[1:], "--json", str(report)]
            subprocess.run(program, check=True, env=os.environ | ENVIRONMENTS.get(name, {}))
            results[name] = json.loads(report.read_text())
            write_results(options.output, "", results)


def list_commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Returns the script and arguments of each comparison, by name.

    Raises:
        InputError: A path does not exist.
    """
    commands = {name: [f"{name}.py"] for name in ("start_up", "input_pipeline", "step_parts")}
    if options.vit_pytorch is not None:
        commands["inference_race"] = ["inference_race.py", "--reference", options.vit_pytorch]
        commands["model_race"] = ["model_race.py", "--reference", options.vit_pytorch]
        commands["jax_race"] = commands["model_race"]
        commands["recipe_race"] = ["recipe_race.py", "--reference", options.vit_pytorch]
    if options.compact_transformers is not None:
        commands["manifold_race"] = ["model_race.py", "--reference", options.compact_transformers]
    if gpu_name() is not None:
        if options.vit_pytorch is not None:
            commands["gpu_race"] = ["gpu_race.py", "--reference", options.vit_pytorch, "--epoch"]
        if options.compact_transformers is not None:
            commands["manifold_gpu_race"] = ["gpu_race.py", "--reference", options.compact_transformers]
    for path in (options.vit_pytorch, options.compact_transformers):
        if path is not None and not Path(path).exists():
            raise InputError(f"{path!r} does not exist. Pass the path of the PyTorch code to compare with.")
    return commands


if __name__ == "__main__":
    main()
