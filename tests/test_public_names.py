import ast
import inspect
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import keras_cct
from keras_cct.models.variants import FAMILY_SIZES, list_models

STUB = Path(keras_cct.__file__).with_suffix(".pyi")
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "numpy"}


def run_python(program: str, **environment: str) -> str:
    completed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=os.environ | environment
    )
    return completed.stdout


def loaded_packages(program: str, **environment: str) -> set[str]:
    """Returns the top-level names in `sys.modules` after a program."""
    modules = run_python(f"import sys; {program}; print(*sys.modules)", **environment).splitlines()[-1].split()
    return {module.partition(".")[0] for module in modules}


def test_listing_models_loads_no_framework():
    program = "from keras_cct.cli import main; main(['models']); main(['models', '--pretrained'])"
    assert not FRAMEWORKS & loaded_packages(program)


def test_import_and_version_load_no_framework():
    assert not FRAMEWORKS & loaded_packages("import keras_cct; keras_cct.__version__; keras_cct.list_models()")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86 CPUs")
def test_import_switches_on_onednn_unless_the_environment_says_otherwise():
    program = "import os, keras_cct; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    without = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=without)
    assert done.stdout == "1\n"
    assert run_python(program, TF_ENABLE_ONEDNN_OPTS="0") == "0\n"


def test_version_is_that_of_the_installed_package():
    assert keras_cct.__version__ == version("keras_cct")


def test_models_on_jax_load_no_tensorflow():
    pytest.importorskip("jax")
    program = "import keras_cct; keras_cct.create_model('cct_2_3x2_32')"
    packages = loaded_packages(program, KERAS_BACKEND="jax")
    assert "jax" in packages
    assert not {"tensorflow", "torch"} & packages


def test_every_public_name_resolves():
    assert all(getattr(keras_cct, name) is not None for name in keras_cct.__all__)
    assert set(keras_cct.__all__) <= set(dir(keras_cct))


def test_unknown_names_raise_an_attribute_error():
    with pytest.raises(AttributeError, match="cct_99"):
        keras_cct.cct_99  # noqa: B018


def test_stub_declares_exactly_the_public_names():
    names = ["__version__"]
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names += [alias.asname for alias in node.names]
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "_ModelFunction":
            names.append(node.target.id)
    assert sorted(names) == sorted(["__version__", *keras_cct.__all__])
    assert {*FAMILY_SIZES, *list_models()} <= set(names)


def test_stub_declares_the_arguments_of_create_model():
    classes = [node for node in ast.walk(ast.parse(STUB.read_text())) if isinstance(node, ast.ClassDef)]
    (call,) = (node for node in ast.walk(classes[0]) if isinstance(node, ast.FunctionDef) and node.name == "__call__")
    defaults = {
        argument.arg: ast.literal_eval(default)
        for argument, default in zip(call.args.kwonlyargs, call.args.kw_defaults, strict=True)
    }
    parameters = list(inspect.signature(keras_cct.create_model).parameters.values())[1:]
    assert defaults == {
        parameter.name: parameter.default for parameter in parameters if parameter.kind.name != "VAR_KEYWORD"
    }


def test_type_checker_knows_the_public_names(tmp_path):
    pytest.importorskip("basedpyright")
    program = tmp_path / "program.py"
    program.write_text(
        "from typing import assert_type\n"
        "import keras\n"
        "import keras_cct\n"
        "assert_type(keras_cct.create_model('cct_7_3x1_32'), keras.Model)\n"
        "assert_type(keras_cct.cct_7_3x1_32(num_classes=3), keras.Model)\n"
        "assert_type(keras_cct.CCT(kernel_size=3), keras.Model)\n"
        "assert_type(keras_cct.__version__, str)\n"
        "keras_cct.cct_7_3x1_32(num_classes='3')\n"
        "keras_cct.cct_99\n"
    )
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, program.name]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    diagnostics = json.loads(completed.stdout)["generalDiagnostics"]
    errors = [(item["range"]["start"]["line"] + 1, item["rule"]) for item in diagnostics if item["severity"] == "error"]
    assert errors == [(8, "reportArgumentType"), (9, "reportAttributeAccessIssue")]


@pytest.mark.slow  # `test_saved_models.py` loads models of an earlier version in such a process
@pytest.mark.parametrize("imports", ["import keras_cct, keras", "import keras, keras_cct"])
def test_saved_model_loads_with_only_the_package_imported(tmp_path, imports):
    keras_cct.create_model("vit_2_4_32").save(tmp_path / "model.keras")
    program = f"{imports}; print(keras.models.load_model({str(tmp_path / 'model.keras')!r}).name)"
    assert run_python(program).strip() == "vit_2_4_32"
