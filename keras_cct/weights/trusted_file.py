"""Loads trusted `.keras` files with Keras's own deserializer, which runs code that they name."""

import importlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_cct.errors import InputError

_KERAS = "keras"
_ADVICE = "Add the folder of its code to PYTHONPATH, or import it first."


def load_trusted_file(file: Path) -> keras.Model:
    """Returns the model in a `.keras` file, whatever its layers are, without its optimizer.

    Keras finds only classes that are registered, so the modules of the other classes are imported first.

    Args:
        file: The file. It can run any code.

    Raises:
        InputError: A module cannot be imported, or has no such class.
        Exception: Keras cannot load the file.
    """
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
    classes = {name: _import_class(module, class_name) for name, module, class_name in _unregistered_classes(config)}
    # Typed for files of other formats.
    return keras.models.load_model(  # pyright: ignore[reportReturnType]
        file, custom_objects=classes, compile=False, safe_mode=False
    )


def _unregistered_classes(config: Any) -> Iterator[tuple[str, str, str]]:
    """Yields registered name, module and class name of every class that is neither Keras's nor registered."""
    stack = [config]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
            registered_name, module, class_name = (item.get(key) for key in ("registered_name", "module", "class_name"))
            if not (isinstance(registered_name, str) and isinstance(module, str) and isinstance(class_name, str)):
                continue
            if not _is_known(registered_name, module):
                yield registered_name, module, class_name
        elif isinstance(item, list):
            stack += item


def _is_known(registered_name: str, module: str) -> bool:
    return module.partition(".")[0] == _KERAS or keras.saving.get_registered_object(registered_name) is not None


def _import_class(module: str, class_name: str) -> type:
    try:
        return getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        raise InputError(f"its class {class_name!r} needs the module {module!r}: {error}. {_ADVICE}") from error
    except AttributeError as error:
        raise InputError(
            f"the module {module!r} has no class {class_name!r}. Use the version of the module that the file was saved "
            f"with, or import the class first."
        ) from error
