"""Imports point one way, and start-up is light."""

import ast
import subprocess
import sys
from pathlib import Path

import keras_cct

PACKAGE = Path(keras_cct.__file__).parent

# Each module may import from the lines before its own, and from its own line only itself.
ORDER = [
    ["errors"],
    ["atomic", "checks", "labels"],
    ["catalogue", "model_config", "recipe"],
    ["variants", "layers", "optimizers"],
    ["data", "model", "features"],
    ["weights"],
    ["factory"],
    ["convert", "saved_model", "predictor"],
    ["export", "evaluation"],
    ["training"],
    ["cli"],
]
RANKS = {module: rank for rank, modules in enumerate(ORDER) for module in modules}
TENSORFLOW_HOMES = (
    "data/",
    "saved_model.py",
    "training/distribution.py",
    "training/event_files.py",
    "cli/frameworks.py",
)


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Returns (module, whether inside a function) for every import in a file."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "keras_cct":
            found += [(f"keras_cct.{alias.name}", node in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module, node in inside))
    return found


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_module_has_its_place_in_the_order():
    assert {module_of(path) for path in FILES} == set(RANKS)


def test_imports_point_one_way():
    wrong = []
    for path in FILES:
        source = module_of(path)
        for name, _ in imports_of(path):
            package, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if package == "keras_cct" and target != source and RANKS[target] >= RANKS[source]:
                wrong.append(f"{source} imports {target}")
    assert wrong == []


def test_data_and_recipe_know_nothing_of_models():
    imported = {name for path in FILES if module_of(path) in ("data", "recipe") for name, _ in imports_of(path)}
    assert not [name for name in imported if name.startswith(("keras_cct.layers", "keras_cct.model", "keras_cct.var"))]


def test_tensorflow_and_torch_stay_in_their_places():
    for path in FILES:
        for name, in_function in imports_of(path):
            package = name.split(".")[0]
            assert package != "tensorflow" or str(path.relative_to(PACKAGE)).startswith(TENSORFLOW_HOMES)
            assert package != "torch" or in_function


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_listing_models_loads_no_framework():
    listings = "main(['models']); main(['models', '--pretrained'])"
    program = f"import sys; from keras_cct.cli import main; {listings}; print(*sys.modules)"
    modules = run_python(program).splitlines()[-1].split()
    assert not {"keras", "tensorflow", "numpy"} & set(modules)


def test_every_public_name_resolves():
    assert all(getattr(keras_cct, name) is not None for name in keras_cct.__all__)
    assert set(keras_cct.__all__) <= set(dir(keras_cct))


def test_saved_model_loads_with_only_the_package_imported(tmp_path):
    keras_cct.create_model("vit_2_4_32").save(tmp_path / "model.keras")
    for imports in ("import keras_cct, keras", "import keras, keras_cct"):
        program = f"{imports}; print(keras.models.load_model({str(tmp_path / 'model.keras')!r}).name)"
        assert run_python(program).strip() == "vit_2_4_32"
