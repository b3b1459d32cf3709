"""The processes of a run: this one, or a cluster that trains with JAX."""

import contextlib
import dataclasses
import platform
from collections.abc import Iterator
from pathlib import Path

import keras

from keras_cct.cluster.link import Link
from keras_cct.cluster.runtime import joined
from keras_cct.cluster.settings import Cluster
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe
from keras_cct.training.environment import package_version

LOCAL_KEYS = ("data_dir", "workers")
"""Recipe keys that may differ between hosts. The images are compared by their names and labels."""
COMPARED_PACKAGES = ("keras_cct", "keras", "jax", "jaxlib", "tensorflow")


@contextlib.contextmanager
def joined_if_any(cluster: Cluster | None, recipe: Recipe, path: Path) -> Iterator[Link | None]:
    """Joins a cluster, if there is one, and compares the recipe and the versions of the packages.

    Args:
        cluster: The cluster; None for a run of one process.
        recipe: The recipe of the run.
        path: The run folder, for messages.

    Raises:
        InputError: The backend is not JAX, the processes cannot be connected, or a value differs.
    """
    if cluster is None:
        yield None
        return
    check_backend()
    with joined(
        cluster, recipe_facts(recipe), f"Start all processes again, with --resume {path} if that folder exists."
    ) as link:
        yield link


def check_backend() -> None:
    """Checks that several processes can train together.

    Raises:
        InputError: The backend is not JAX.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(
            f"several processes can train with the JAX backend only, got {backend!r}: Keras 3 supports neither "
            f"TensorFlow's MultiWorkerMirroredStrategy nor process groups of PyTorch. Pass --backend jax, or set "
            f"KERAS_BACKEND=jax."
        )


def recipe_facts(recipe: Recipe) -> dict[str, str]:
    """Returns what must be equal in all processes before images are read, by name: recipe keys and versions."""
    keys = {f"recipe key {key}": repr(value) for key, value in dataclasses.asdict(recipe).items()}
    for key in LOCAL_KEYS:
        del keys[f"recipe key {key}"]
    return (
        keys
        | {package: package_version(package) for package in COMPARED_PACKAGES}
        | {"Python": ".".join(platform.python_version_tuple()[:2])}
    )
