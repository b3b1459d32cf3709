"""The command `keras_cct benchmark`."""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_cct.cli.frameworks import load_frameworks, silent_stderr
from keras_cct.cli.inference import add_trust
from keras_cct.errors import InputError, check_count, check_setting
from keras_cct.export.runtime import RUNTIMES
from keras_cct.files import replacing
from keras_cct.inference.artifacts import ARTIFACT_NAMES, KERAS, artifact_format, find_artifact, find_keras_file
from keras_cct.inference.predictors import COMPUTE_DTYPES
from keras_cct.models.variants import list_models

MAX_SECONDS = 3600


def add_benchmark(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    benchmark = commands.add_parser("benchmark", help="measure latency, throughput and memory of models")
    benchmark.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="exported artifacts, .keras files, run folders, variants or hf://user/name",
    )
    benchmark.add_argument(
        "--runtime",
        nargs="+",
        choices=RUNTIMES,
        default=[],
        help="runtimes to which .keras files and variants are exported (default: keras)",
    )
    benchmark.add_argument(
        "--batch-size",
        nargs="+",
        type=int,
        default=[1, 8, 32, 128],
        metavar="INT",
        help="batch sizes for measuring throughput (default: 1 8 32 128)",
    )
    benchmark.add_argument(
        "--compute-dtype",
        choices=COMPUTE_DTYPES,
        default="float32",
        help="precision of the computation; bfloat16 requires OpenVINO (default: float32)",
    )
    benchmark.add_argument(
        "--seconds", type=float, default=2.0, metavar="FLOAT", help="minimum time per batch size (default: 2)"
    )
    add_trust(benchmark)
    benchmark.add_argument("--json", metavar="FILE", help="also write the results to a new JSON file (default: none)")
    benchmark.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> None:
    for size in options.batch_size:
        check_count("--batch-size", size)
    check_setting("--seconds", options.seconds, 0 <= options.seconds <= MAX_SECONDS, f"in [0, {MAX_SECONDS}]")
    if options.json is not None and Path(options.json).exists():
        raise InputError(f"--json {options.json!r} exists already. Remove it or choose another file.")
    if options.json is not None and not Path(options.json).absolute().parent.is_dir():
        raise InputError(f"--json {options.json!r} is in a folder that does not exist. Create it or choose another.")
    from keras_cct.inference.benchmark import measure_artifact

    batch_sizes = tuple(options.batch_size)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        artifacts = list(_list_artifacts(options, Path(folder)))
        columns = "".join(f"{f'batch {size}':>11}" for size in batch_sizes)
        width = max(5, *(len(name) for name, _, _ in artifacts))
        print(f"{'model':{width}}  {'runtime':12}{'latency':>9}{'p95':>9}{columns}{'memory':>9}")
        print(f"{'':{width}}  {'':12}{'ms':>9}{'ms':>9}{'images/s':>{len(columns)}}{'MB':>9}")
        for name, runtime, path in artifacts:
            with silent_stderr():
                measured = measure_artifact(
                    path, batch_sizes, options.seconds, options.compute_dtype, trust=options.trust
                )
            speeds = "".join(f"{measured.throughput[size]:11.1f}" for size in batch_sizes)
            times = f"{measured.latency_ms:9.2f}{measured.latency_p95_ms:9.2f}"
            print(f"{name:{width}}  {runtime:12}{times}{speeds}{measured.memory_mb:9.0f}", flush=True)
            settings = {"model": name, "runtime": runtime, "compute_dtype": options.compute_dtype}
            results.append(settings | dataclasses.asdict(measured))
    if options.json is not None:
        with replacing(Path(options.json)) as temporary:
            temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _list_artifacts(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yields name, runtime and path of everything to measure; exports `.keras` files and variants to the folder."""
    for index, name in enumerate(options.models):
        if name in list_models() and not Path(name).exists():
            path = folder / f"{index}.keras"
            _save_variant(name, path)
        else:
            # As in `load_predictor`, chosen runtimes are those of a run's best model instead of its SavedModel.
            path = find_artifact(find_keras_file(name) if options.runtime else name)
        runtime = artifact_format(path)
        if runtime != KERAS:
            if options.runtime and runtime not in options.runtime:
                raise InputError(
                    f"{name!r} is an artifact of {runtime}, not of {' or '.join(options.runtime)}. Use a .keras file, "
                    f"or omit --runtime."
                )
            yield name, runtime, path
            continue
        for chosen in options.runtime or [KERAS]:
            if chosen == KERAS:
                yield name, chosen, path
            else:
                yield name, chosen, _export(path, folder / str(index) / chosen, chosen, options.trust)


def _save_variant(name: str, path: Path) -> None:
    load_frameworks()
    from keras_cct.create import create_model

    create_model(name).save(path)


def _export(path: Path, folder: Path, runtime: str, trust: bool) -> Path:
    load_frameworks()
    from keras_cct.export.model import export_model

    with silent_stderr():
        export_model(path, folder / ARTIFACT_NAMES[runtime], runtime, trust=trust)
    return folder / ARTIFACT_NAMES[runtime]
