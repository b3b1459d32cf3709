"""What the wheel and the source archive contain."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """Returns the folder of the built wheel and source archive."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return folder


def test_wheel_contains_code_types_and_data(archives):
    (wheel,) = archives.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "keras_cct").rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("keras_cct/")} == {
        name for name in package if "__pycache__" not in name
    }
    endings = {"py.typed", "__init__.pyi", "cifar10.yml", "imagenet.txt", "fashion_mnist.npz", ".safetensors"}
    assert not [ending for ending in endings if not any(name.endswith(ending) for name in names)]


def test_source_archive_contains_what_its_tests_need(archives):
    (source,) = archives.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ["README.md", "CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "mkdocs.yml", "pyproject.toml"]
    needed += ["train_keras.py"]
    folders = ("keras_cct", "tests", "examples", "benchmarks", "tools", "docs", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    fetched = {"__pycache__", "node_modules"}
    needed += [str(path.relative_to(ROOT)) for path in files if not fetched & set(path.parts)]
    assert [name for name in needed if name not in names] == []
