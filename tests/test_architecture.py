"""Imports point one way, between rooms and inside them, and start-up is light."""

import ast
from pathlib import Path

import keras_cct

PACKAGE = Path(keras_cct.__file__).parent

# A room may import from the lines above its own; inside a room an entry may import from the entries before it.
ROOMS = {
    "errors": [],
    "files": [],
    "archives": [],
    "npz": [],
    "facts": ["attention", "datasets"],
    "cluster": ["settings", "link", "runtime", "callbacks"],
    "recipe": ["strict_yaml", "parsing", "keys", "recipe", "loading"],
    "layers": [
        "shapes",
        "initializers",
        "composite",
        "masks",
        "tensorflow_elementwise",
        "elementwise",
        "jax_convolution",
        "convolution",
        "factorizations",
        "linalg",
        "normalization",
        "tokenizers",
        "embeddings",
        "attention",
        "manifold",
        "grassmann",
        "recomputation",
        "encoder",
        "pooling",
    ],
    "data": [
        "rng",
        "pillow_images",
        "declared_size",
        "unreadable",
        "exif",
        "decode",
        "images",
        "file_stamps",
        "survey_index",
        "survey",
        "fingerprint",
        "sample",
        "augment",
        "shard",
        "sources",
        "pipeline",
        "statistics",
        "folder_writer",
        "contact_sheet",
    ],
    "models": [
        "names",
        "config",
        "variant_table",
        "foreign_arguments",
        "variants",
        "build",
        "features",
        "costs",
        "summary",
    ],
    "weights": [
        "pretrained",
        "hub",
        "torch_file",
        "hdf5",
        "keras_layer_config",
        "keras_config",
        "mapping",
        "trusted_file",
        "keras_file",
        "formats",
        "adapt",
        "files",
        "http",
        "download",
        "resolve",
        "convert",
    ],
    "create": [],
    "inference": [
        "artifacts",
        "metadata",
        "predictor",
        "keras_model",
        "saved_model",
        "onnx",
        "telemetry",
        "openvino",
        "litert",
        "predictors",
        "benchmark",
        "resampling",
        "image_files",
        "prediction",
    ],
    "evaluation": ["class_matching", "views", "metrics", "calibration", "evaluate", "files"],
    "explanation": ["maps", "pictures"],
    "export": [
        "tensorflow_process",
        "warmup",
        "saved_model",
        "conversion",
        "onnx",
        "openvino",
        "litert",
        "images",
        "settings",
        "temperature",
        "verification",
        "model",
        "runtime",
    ],
    "training": [
        "lock",
        "folder",
        "environment",
        "processes",
        "termination",
        "devices",
        "torch_optimizers",
        "optimizers",
        "losses",
        "teacher",
        "setup",
        "callbacks",
        "state",
        "checkpoints",
        "early_stopping",
        "average",
        "loggers",
        "defaults",
        "prepared_run",
        "training_loop",
        "run",
    ],
    "report": [
        "theme",
        "figures",
        "confusion_figure",
        "evaluation_folder",
        "run_record",
        "run_metrics",
        "artifact_table",
        "pictures",
        "page",
        "run_report",
        "comparison",
        "model_card",
        "push",
    ],
    "cli": [
        "frameworks",
        "cluster_flags",
        "average",
        "summary",
        "streams",
        "models",
        "data",
        "prediction_formats",
        "inference",
        "evaluate",
        "explain",
        "export",
        "benchmark",
        "convert",
        "report",
        "push",
        "recipe_flags",
        "train",
        "init",
    ],
    "__main__": [],
}
SUBROOMS = {
    "data.augment": (
        [
            "batches",
            "pixels",
            "affine",
            "operations",
            "color_jitter",
            "randaugment",
            "crop",
            "erasing",
            "mixing",
            "library_layers",
            "plan",
            "stages",
        ]
    ),
    "data.sources": [
        *("source", "labels", "cache", "arrays", "scan", "readable", "split", "folder"),
        *("idx", "keras_datasets", "tfds", "open"),
    ],
}
ALONE = {"data": ("layers", "models", "weights"), "recipe": ("layers", "models", "weights", "data")}
"""Rooms that stand beside others, and what they never import."""

TENSORFLOW_HOMES = (
    "data.",
    "export.saved_model",
    "export.warmup",
    "export.conversion",
    "export.litert",
    "export.images",
    "inference.saved_model",
    "layers.tensorflow_elementwise",
    "layers.shapes",
    "training.devices",
    "training.loggers",
    "cli.frameworks",
)


RUNTIME_HOMES = {
    "onnx": ("export.onnx",),
    "tf2onnx": ("export.onnx",),
    "onnxruntime": ("export.onnx", "inference.onnx"),
    "openvino": ("export.openvino", "inference.openvino"),
    "nncf": ("export.openvino",),
    "ai_edge_litert": ("inference.litert",),
    "huggingface_hub": ("weights.hub",),
}
"""Packages of the runtimes, and the modules that import them."""


def modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: path for name, path in names.items() if name}


MODULES = modules()


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Returns (module, whether inside a function) for every import in a file."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                is_module = submodule.removeprefix("keras_cct.") in MODULES
                found.append((submodule if is_module else node.module, node in inside))
    return found


def own_imports(module: str) -> list[str]:
    names = [name for name, _ in imports_of(MODULES[module]) if name.split(".")[0] == "keras_cct"]
    return [name.removeprefix("keras_cct").removeprefix(".") for name in names]


def rank(module: str) -> list[int]:
    """Returns the position of a module in the order: of its room, in its room, in its subroom."""
    room, _, rest = module.partition(".")
    entry, _, leaf = rest.partition(".")
    ranks = [list(ROOMS).index(room)]
    if entry:
        ranks.append(ROOMS[room].index(entry))
    if leaf:
        ranks.append(SUBROOMS[f"{room}.{entry}"].index(leaf))
    return ranks


def test_every_module_has_its_place_in_the_order():
    unplaced = []
    for module in MODULES:
        try:
            rank(module)
        except ValueError:
            unplaced.append(module)
    assert unplaced == []


def test_imports_point_one_way():
    wrong = []
    for source in MODULES:
        for target in own_imports(source):
            is_own_package = target.startswith(f"{source}.")  # a package that lists its names
            if target and not is_own_package and rank(target) >= rank(source):
                wrong.append(f"{source} imports {target}")
    assert wrong == []


def test_data_and_recipe_know_nothing_of_models():
    wrong = [
        f"{source} imports {target}"
        for source in MODULES
        for target in own_imports(source)
        if target.split(".")[0] in ALONE.get(source.split(".")[0], ())
    ]
    assert wrong == []


def test_tensorflow_and_torch_stay_in_their_places():
    for module, path in MODULES.items():
        for name, in_function in imports_of(path):
            package = name.split(".")[0]
            assert package != "tensorflow" or module.startswith(TENSORFLOW_HOMES), module
            assert package != "torch" or in_function, module


def test_each_runtime_is_imported_in_the_files_of_its_format_only():
    for module, path in MODULES.items():
        for name, _ in imports_of(path):
            homes = RUNTIME_HOMES.get(name.split(".")[0])
            assert homes is None or module in homes, (module, name)
