"""Compact transformers (ViT-Lite, CVT, CCT) for Keras 3.

Public names are imported on first use, so `import keras_cct` loads no framework. `__init__.pyi` lists them for
lazy_loader, type checkers and editors. The layers and optimizers register themselves as soon as Keras is imported, so
`import keras_cct` is all that `keras.models.load_model` needs.

Imported before TensorFlow, it switches on TensorFlow's oneDNN kernels, unless the environment says otherwise.
"""

import importlib
import os
import platform

import lazy_loader
import wrapt

from keras_cct.models.variants import FAMILY_SIZES, list_models

# TensorFlow reads this when it is imported, and by default uses oneDNN only on CPUs with AVX-512 VNNI or AMX. On other
# x86 CPUs, batched matrix products take several times as long without it (benchmarks/step_parts.py).
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_get_imported_name, _, _imported_names = lazy_loader.attach_stub(__name__, __file__)
_MODEL_FUNCTIONS = (*FAMILY_SIZES, *list_models())

__all__ = [*_imported_names, *_MODEL_FUNCTIONS]  # noqa: PLE0604 # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name in _MODEL_FUNCTIONS:
        return getattr(importlib.import_module("keras_cct.create"), name)
    return _get_imported_name(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


@wrapt.when_imported("keras")
def _register_custom_objects(_keras: object) -> None:
    importlib.import_module("keras_cct.layers")
    importlib.import_module("keras_cct.training.torch_optimizers")
