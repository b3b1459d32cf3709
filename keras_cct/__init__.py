"""keras_cct: compact transformers (ViT-Lite, CVT, CCT) for Keras 3.

The names below load Keras when they are first used, not before; and the layers and the optimizer register themselves as
soon as anything loads Keras, so that `keras.models.load_model` needs only `import keras_cct`.
"""

import importlib

import wrapt

from keras_cct.models.variants import FAMILY_SIZES, list_models

_HOME = {
    "CCT": "create",
    "CVT": "create",
    "AdamW": "training.torch_optimizers",
    "ClassToken": "layers",
    "ClassTokenPool": "layers",
    "ClassifierHead": "layers",
    "ConvTokenizer": "layers",
    "EncoderBlock": "layers",
    "GrassmannAttention": "layers",
    "InputError": "errors",
    "ManifoldAttention": "layers",
    "ModelConfig": "models.config",
    "ObservabilityTokens": "layers",
    "PatchTokenizer": "layers",
    "PositionEmbedding": "layers",
    "KerasPredictor": "inference.predictors",
    "Predictor": "inference.predictors",
    "Recipe": "recipe",
    "SGD": "training.torch_optimizers",
    "SelfAttention": "layers",
    "SequencePool": "layers",
    "StochasticDepth": "layers",
    "TokenGrid": "layers",
    "ViTLite": "create",
    "build_model": "models.build",
    "class_names": "facts.datasets",
    "convert_weights": "weights.convert",
    "create_model": "create",
    "create_optimizer": "training.optimizers",
    "evaluate": "inference.evaluation",
    "export_saved_model": "export.saved_model",
    "export_torch_weights": "weights.mapping",
    "features": "models.features",
    "load_predictor": "inference.predictors",
    "load_recipe": "recipe",
    "load_sample": "data.sample",
    "open_data": "data.sources.open",
    "load_torch_weights": "weights.files",
    "predict_files": "inference.evaluation",
    "resume": "training.run",
    "save_weights_file": "weights.files",
    "train": "training.run",
    **dict.fromkeys([*FAMILY_SIZES, *list_models()], "create"),
}

__all__ = ["list_models", *_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"keras_cct.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


@wrapt.when_imported("keras")
def _register(_keras: object) -> None:
    importlib.import_module("keras_cct.layers")
    importlib.import_module("keras_cct.training.torch_optimizers")
