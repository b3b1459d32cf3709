"""Description of the software and hardware of a run."""

import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from keras_cct.files import reading, replacing

_PACKAGES = ("keras_cct", "keras", "numpy", "tensorflow")
_BACKEND_PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
_CPU_INFO = Path("/proc/cpuinfo")


def describe_environment(devices: str) -> dict[str, str]:
    """Returns the time, the versions of Python and of the packages, and the hardware, by name.

    Args:
        devices: Description of the devices that train.
    """
    backend = keras.backend.backend()
    packages = dict.fromkeys((*_PACKAGES, _BACKEND_PACKAGES[backend]))
    return {
        "started": datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        "devices": devices,
        "CPU": f"{cpu_name()}, {os.cpu_count()} cores",
        "platform": platform.platform(),
        "Python": platform.python_version(),
        "backend": backend,
        **{name: package_version(name) for name in packages},
    }


def write_environment(path: Path, environment: dict[str, str]) -> None:
    """Writes an environment as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def read_environment(path: Path) -> dict[str, str]:
    """Returns the environment of a run; empty for runs of versions that did not record it.

    Raises:
        InputError: The file is corrupted.
    """
    if not path.is_file():
        return {}
    with reading(path, "the environment of a run"):
        return {str(name): str(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}


def package_version(package: str) -> str:
    """Returns the version of an installed package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def cpu_name() -> str:
    """Returns the name of the CPU of this machine."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
