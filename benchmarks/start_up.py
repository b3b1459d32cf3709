"""Times how long the command and the package take to start, in seconds.

* `keras_cct --help`: a new process, until it ends.
* `import keras_cct`: what the import adds to `import keras`, with the default backend, including the first use of
  `create_model`, on which most of the package is imported.

    python benchmarks/start_up.py
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import cpu_name
from model_race import Parser

from keras_cct.errors import InputError, check_count, check_setting

IMPORTS = "import time, keras; start = time.perf_counter(); import keras_cct; {use}; print(time.perf_counter() - start)"
CODE = {
    "import keras_cct": IMPORTS.format(use="pass"),
    "import keras_cct, create_model": IMPORTS.format(use="keras_cct.create_model"),
}


def main() -> None:
    """Times all starts, one after the other, in rounds."""
    parser = Parser(description="Time how long the command and the package take to start, in seconds.")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (default 5)")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    options = parser.parse_args()
    try:
        check_count("--rounds", options.rounds)
        if options.json:
            has_folder = Path(options.json).absolute().parent.is_dir()
            check_setting("--json", options.json, has_folder, "a file in an existing folder")
    except InputError as error:
        parser.error(str(error))
    rounds = {"keras_cct --help": [], **{name: [] for name in CODE}}
    for _ in range(options.rounds):
        rounds["keras_cct --help"].append(time_help())
        for name, code in CODE.items():
            rounds[name].append(float(run_python("-c", code).splitlines()[-1]))
    seconds = {name: statistics.median(values) for name, values in rounds.items()}
    for name, value in seconds.items():
        print(f"{name:32}{value:7.3f} s ({min(rounds[name]):.3f} .. {max(rounds[name]):.3f})")
    if options.json:
        report = {"cpu": cpu_name(), "seconds": seconds, "rounds": rounds}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def time_help() -> float:
    """Returns the seconds that `keras_cct --help` takes."""
    start = time.perf_counter()
    run_python("-m", "keras_cct", "--help")
    return time.perf_counter() - start


def run_python(*arguments: str) -> str:
    """Returns the standard output of a new process."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


if __name__ == "__main__":
    main()
