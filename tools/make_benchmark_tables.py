"""Writes the tables of speeds in README.md and docs/benchmarks.md, from the files in benchmarks/results.

A table follows a line `<!-- table: COMPARISON FILE -->`, with the name of a comparison of `benchmarks/run_all.py` and
that of a file of results without its ending, and ends before `<!-- end of table -->`.

python tools/make_benchmark_tables.py
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
TABLE = re.compile(r"(<!-- table: (\w+) ([\w-]+) -->\n).*?(<!-- end of table -->)", flags=re.DOTALL)

SIDES = {
    "keras": "keras_cct",
    "torch eager": "PyTorch",
    "torch.compile": "compiled PyTorch",
    "keras bfloat16": "keras_cct, bfloat16",
    "torch autocast": "PyTorch, autocast",
}
RATIOS = {"torch eager": "eager", "torch.compile": "compiled", "torch autocast": "bfloat16, autocast"}
"""Title of the ratio in a side's column, by its side."""

PACKAGES = {
    "keras_cct": "keras_cct",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
    "torch": "PyTorch",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "pillow": "Pillow",
}
ARTIFACTS = ("openvino", "onnx")


def with_tables(page: str) -> str:
    """Returns a page with all its tables regenerated."""
    return TABLE.sub(lambda found: found[1] + "\n" + "\n".join(table(found[2], found[3])) + "\n\n" + found[4], page)


def table(comparison: str, file: str) -> list[str]:
    """Returns the lines of a caption and a table."""
    report = json.loads((RESULTS / f"{file}.json").read_text())
    return [caption(report, comparison), "", *TABLES[comparison](report[comparison])]


def caption(report: dict[str, Any], comparison: str) -> str:
    """Returns a line with the CPU, the versions and the day."""
    machine = report[comparison].get("machine", {})
    place = f"{machine['cores']} cores of an {report['cpu']}" if "cores" in machine else report["cpu"]
    versions = [
        f"{PACKAGES[name]} {value.split()[-1]}"
        for key, value in machine.items()
        if (name := value.split()[0] if key in ("backend", "reference") else key) in PACKAGES
    ]
    return "; ".join([place, *([", ".join(versions)] if versions else []), report["date"]]) + ":"


def race_table(race: dict[str, Any]) -> list[str]:
    """Returns the table of `model_race.py`: the speed of each side, and ratios to ours."""
    sides = [side for side in SIDES if all(side in result["speeds"] for result in race["results"])]
    columns = []
    for side in sides:
        columns.append((f"{SIDES[side]}, images/s", lambda result, side=side: _speed(result["speeds"][side])))
        if side in RATIOS:
            columns.append(("ratio", lambda result, side=side: f"{result['ratios'][RATIOS[side]]:.2f}"))
    head = ["model, batch", "step", *(title for title, _ in columns)]
    rows, previous = [], None
    for result in race["results"]:
        model = f"{result['model']}, {result['batch_size']}"
        cells = [model if model != previous else "", result["step"], *(cell(result) for _, cell in columns)]
        rows.append(cells)
        previous = model
    return markdown_table(head, rows)


def artifacts_table(race: dict[str, Any]) -> list[str]:
    """Returns the table of `inference_race.py`: the faster artifact in float32 next to PyTorch."""
    head = ["model, batch", "artifact, images/s", "PyTorch", "ratio", "compiled PyTorch", "ratio"]
    rows = []
    for result in race["results"]:
        speeds = result["speeds"]
        ours = max(speeds[side] for side in ARTIFACTS if side in speeds)
        cells = [f"{result['model']}, {result['batch_size']}", _speed(ours)]
        for side in ("torch eager", "torch.compile"):
            cells += [_speed(speeds[side]), f"{ours / speeds[side]:.2f}"]
        rows.append(cells)
    return markdown_table(head, rows)


def pipeline_table(report: dict[str, Any]) -> list[str]:
    """Returns the table of `input_pipeline.py`."""
    head = ["images", "keras_cct, images/s", "Pillow, images/s", "ratio"]
    titles = {32: "32x32", 224: "256x256 to 224x224"}
    rows = [
        [titles[result["size"]], _speed(result["ours"]), _speed(result["pillow"]), f"{result['ratio']:.2f}"]
        for result in report["results"]
    ]
    return markdown_table(head, rows)


def parts_table(report: dict[str, Any]) -> list[str]:
    """Returns the table of `step_parts.py`."""
    rows = [
        [name, f"{ours:.1f}", f"{usual:.1f}", f"{usual / ours:.1f}"]
        for name, (ours, usual) in report["milliseconds"].items()
    ]
    return markdown_table(["part", "keras_cct, ms", "usual, ms", "ratio"], rows)


def recipe_table(report: dict[str, Any]) -> list[str]:
    """Returns the table of `recipe_race.py`."""
    rows = []
    for name, ratio in report["ratios"].items():
        ours, theirs = (report["speeds"][side][name] for side in ("keras_cct", "pytorch"))
        rows.append([f"{report['model']}, {name}", _speed(ours), _speed(theirs), f"{ratio:.2f}"])
    return markdown_table(["training", "keras_cct, images/s", "PyTorch and Pillow, images/s", "ratio"], rows)


def start_table(report: dict[str, Any]) -> list[str]:
    """Returns the table of `start_up.py`."""
    return markdown_table(
        ["start", "seconds"], [[f"`{name}`", f"{value:.2f}"] for name, value in report["seconds"].items()]
    )


def markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    return [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in (head, ["---"] * len(head), *rows)]


def _speed(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "model_race": race_table,
    "jax_race": race_table,
    "manifold_race": race_table,
    "inference_race": artifacts_table,
    "input_pipeline": pipeline_table,
    "step_parts": parts_table,
    "recipe_race": recipe_table,
    "start_up": start_table,
}


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
