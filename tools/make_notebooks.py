"""Creates examples/*.ipynb from the scripts in examples/notebooks, executed, with their outputs.

The scripts are in Jupytext's percent format. Each runs in a new folder, with the packages of this environment. Progress
bars, messages of TensorFlow and the path of the folder are removed from the outputs.

    make notebooks
"""

import os
import sys
import tempfile
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = EXAMPLES / "notebooks"
MAX_SECONDS_PER_CELL = 1200
TENSORFLOW_LOG = "INFO:tensorflow"


def execute(script: Path) -> NotebookNode:
    """Returns a script as a notebook with outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell has failed.
    """
    notebook = jupytext.read(script)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=MAX_SECONDS_PER_CELL, kernel_name="python3", resources=resources).execute()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs, folder)
        cell.id = f"cell-{index}"  # a random one would change in every run
        cell.metadata.pop("execution", None)  # the time of execution
    notebook.metadata.pop("jupytext", None)
    return notebook


def tidy(outputs: list[NotebookNode], folder: str) -> list[NotebookNode]:
    """Returns outputs with the lines that a terminal shows in the end; standard error is left out."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if output.output_type != "stream":
            merged.append(output)
        elif output.name == "stdout" and merged and merged[-1].output_type == "stream":
            merged[-1].text += output.text
        elif output.name == "stdout":
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            text = output.text.replace(f"{folder}/", "").replace("\r\n", "\n")
            lines = [line.rpartition("\r") for line in text.split("\n")]
            shown = [text for _, was_replaced, text in lines if text or not was_replaced]
            output.text = "\n".join(line for line in shown if not line.startswith(TENSORFLOW_LOG))
    return [output for output in merged if output.output_type != "stream" or output.text.strip()]


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # with the command keras_cct
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for script in map(Path, sys.argv[1:] or sorted(SCRIPTS.glob("*.py"))):
        target = EXAMPLES / f"{script.stem}.ipynb"
        jupytext.write(execute(script), target)
        print(f"wrote {target}")


if __name__ == "__main__":
    main()
