"""Writes the tables of speeds and accuracies in README.md and docs, from the files in benchmarks/results.

A table follows a line `<!-- table: COMPARISON FILE -->`, with the name of a comparison of speeds in
`benchmarks/run_all.py`, or of accuracies, and that of a file of results without its ending. The table `summary` reads
all files. A table ends before `<!-- end of table -->`.

python tools/make_benchmark_tables.py
"""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "accuracy.md")
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
ARTIFACTS = ("openvino", "onnx", "litert")
ATTENTION_TYPES = {"softmax": "Euclidean", "spd": "SPD", "gm": "GM", "all": "all"}
MODELS = {"vit_2_4_32": "ViT-Lite-2/4", "cvt_2_4_32": "CVT-2/4", "cct_2_3x2_32": "CCT-2/3x2"}
FRAMEWORKS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def with_tables(page: str) -> str:
    """Returns a page with all its tables regenerated."""
    return TABLE.sub(lambda found: found[1] + "\n" + "\n".join(table(found[2], found[3])) + "\n\n" + found[4], page)


def table(comparison: str, file: str) -> list[str]:
    """Returns the lines of a caption and a table; the summary and accuracies have no caption."""
    if comparison == "summary":
        return summary_table()
    report = json.loads((RESULTS / f"{file}.json").read_text())
    if comparison in ACCURACY_TABLES:
        return ACCURACY_TABLES[comparison](report["trainings"])
    return [caption(report, comparison), "", *TABLES[comparison](report[comparison])]


def caption(report: dict[str, Any], comparison: str) -> str:
    """Returns a line with the CPU, the versions and the day."""
    machine = report[comparison].get("machine", {})
    place = f"{machine['cores']} cores of an {report['cpu']}" if "cores" in machine else report["cpu"]
    versions = [
        f"{PACKAGES[name]} {value.split()[-1].partition('+')[0]}"
        for key, value in machine.items()
        if (name := value.split()[0] if key in ("backend", "reference") else key) in PACKAGES
    ]
    unit = ["images/s"] if TABLES[comparison] is race_table else []
    return "; ".join([place, *([", ".join(versions)] if versions else []), report["date"], *unit]) + ":"


def race_table(race: dict[str, Any]) -> list[str]:
    """Returns the table of `model_race.py`: the speed of each side in images per second, and ratios to ours."""
    sides = [side for side in SIDES if all(side in result["speeds"] for result in race["results"])]
    columns = []
    for side in sides:
        columns.append((SIDES[side], lambda result, side=side: _speed(result["speeds"][side])))
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


def summary_table() -> list[str]:
    """Returns a row per CPU with the geometric means of `model_race.py` over its models."""
    columns = [
        (f"{step}, {title}", step, key)
        for key, title in (("eager", "eager"), ("compiled", "compiled"), ("bfloat16, autocast", "bfloat16"))
        for step in ("training", "inference")
    ]
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        report = json.loads(path.read_text())
        if "model_race" not in report:
            continue
        race = report["model_race"]
        versions = race["machine"]
        cells = [report["cpu"] + (f" (version {versions['keras_cct']})" if "keras_cct" in versions else "")]
        for _, step, key in columns:
            results = [result for result in race["results"] if result["step"] == step]
            ratios = [result["ratios"][key] for result in results if key in result["ratios"]]
            cells.append(f"{statistics.geometric_mean(ratios):.2f}" if ratios else "")
        rows.append(cells)
    return markdown_table(["CPU, 2 cores", *(title for title, _, _ in columns)], rows)


def artifacts_table(race: dict[str, Any]) -> list[str]:
    """Returns the table of `inference_race.py`: the fastest artifact in float32, and OpenVINO in bfloat16."""
    head = ["model, batch", "artifact, images/s", "PyTorch", "ratio", "compiled PyTorch", "ratio"]
    has_bfloat16 = all("openvino bfloat16" in result["speeds"] for result in race["results"])
    if has_bfloat16:
        head += ["OpenVINO, bfloat16", "compiled PyTorch, autocast", "ratio"]
    rows = []
    for result in race["results"]:
        speeds = result["speeds"]
        ours = max(speeds[side] for side in ARTIFACTS if side in speeds)
        cells = [f"{result['model']}, {result['batch_size']}", _speed(ours)]
        for side in ("torch eager", "torch.compile"):
            cells += [_speed(speeds[side]), f"{ours / speeds[side]:.2f}"]
        if has_bfloat16:
            ours, theirs = speeds["openvino bfloat16"], speeds["torch.compile bfloat16"]
            cells += [_speed(ours), _speed(theirs), f"{ours / theirs:.2f}"]
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
    return markdown_table(["part", "keras_cct, ms", "default, ms", "ratio"], rows)


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


def fashion_mnist_table(trainings: list[dict[str, Any]]) -> list[str]:
    """Returns the table of `fashion_mnist.py`."""
    rows = [
        [MODELS[training["model"]], f"{training['epochs']}", f"{training['top1']:.2f}"]
        for training in sorted(trainings, key=lambda training: list(MODELS).index(training["model"]))
    ]
    return markdown_table(["model", "epochs", "top-1 in %"], rows)


def small_data_table(trainings: list[dict[str, Any]]) -> list[str]:
    """Returns the table of `small_data.py`: a row per number of images, a column per model."""
    rows = [
        [f"{images:,}", *(_mean_and_std(trainings, model=model, images=images) for model in MODELS)]
        for images in sorted({training["images"] for training in trainings})
    ]
    return markdown_table(["training images", *MODELS.values()], rows)


def attention_table(trainings: list[dict[str, Any]]) -> list[str]:
    """Returns the table of `manifold_accuracy.py`."""
    rows = [[title, _mean_and_std(trainings, attention_type=key)] for key, title in ATTENTION_TYPES.items()]
    return markdown_table(["attention", "top-1 in %"], rows)


def backends_table(trainings: list[dict[str, Any]]) -> list[str]:
    """Returns the table of `backend_accuracy.py`."""
    rows = []
    for key, title in FRAMEWORKS.items():
        version = next(training["backend"] for training in trainings if training["framework"] == key).split()[-1]
        rows.append([f"{title} {version.partition('+')[0]}", _mean_and_std(trainings, framework=key)])
    return markdown_table(["backend", "top-1 in %"], rows)


def _mean_and_std(trainings: list[dict[str, Any]], **settings: Any) -> str:
    """Returns mean and sample standard deviation of the accuracies of the trainings with these settings."""
    chosen = [training["top1"] for training in trainings if settings.items() <= training.items()]
    return f"{statistics.mean(chosen):.1f} ± {statistics.stdev(chosen):.1f}"


def markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return [re.sub(r"\|  (?=\|)", "| ", line) for line in lines]


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

ACCURACY_TABLES: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
    "fashion_mnist": fashion_mnist_table,
    "small_data": small_data_table,
    "manifold_accuracy": attention_table,
    "backend_accuracy": backends_table,
}


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
