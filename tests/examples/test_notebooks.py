"""The notebooks have the cells of their scripts and the outputs of a run without errors."""

import ast
import json
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted((EXAMPLES / "notebooks").glob("*.py"))
MAX_BYTES = 500_000
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def notebook_of(script: Path) -> dict:
    return json.loads((EXAMPLES / f"{script.stem}.ipynb").read_text())


def cells_of(script: Path) -> list[tuple[str, str]]:
    """Returns kind and source of the cells of a script in the percent format, as a notebook has them."""
    cells = []
    for cell in re.split(r"^# %%", script.read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        if head.strip() == "[markdown]":
            cells.append(("markdown", re.sub(r"^# ?", "", body.strip(), flags=re.MULTILINE)))
        else:
            cells.append(("code", re.sub(r"^# !", "!", body.strip(), flags=re.MULTILINE)))
    return cells


def test_every_notebook_has_a_script():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == {script.stem for script in SCRIPTS}


@each_script
def test_cells_are_those_of_the_script(script):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook_of(script)["cells"]]
    assert cells == cells_of(script)


@each_script
def test_outputs_are_kept_and_free_of_errors_and_local_paths(script):
    assert (EXAMPLES / f"{script.stem}.ipynb").stat().st_size < MAX_BYTES
    outputs = [output for cell in notebook_of(script)["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs) or script.stem.startswith("serve")
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output.get("name") for output in outputs} <= {None, "stdout"}
    text = "".join("".join(output.get("text", [])) for output in outputs)
    assert not re.search(r"/tmp/|/home/|/root/|Warning", text)


@each_script
def test_local_links_and_python_are_valid(script):
    for kind, source in cells_of(script):
        if kind == "code":
            ast.parse(re.sub(r"^!.*$", "pass", source, flags=re.MULTILINE))
        for link in re.findall(r"\]\(([^)]+)\)", source) if kind == "markdown" else []:
            path = link.removeprefix("https://github.com/keras-cct/keras_cct/blob/main/")
            base = EXAMPLES if path == link else EXAMPLES.parent
            assert (base / path).exists(), link
