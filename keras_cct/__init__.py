"""keras_cct: compact transformers (ViT-Lite, CVT, CCT) for Keras 3.

The names below load Keras when they are first used, not before; and the layers and the optimizer register themselves as
soon as anything loads Keras, so that `keras.models.load_model` needs only `import keras_cct`.
"""

import importlib

import wrapt

from keras_cct.variants import FAMILY_SIZES, list_models

_HOME = {
    "CCT": "factory",
    "CVT": "factory",
    "AdamW": "optimizers",
    "ClassToken": "layers",
    "ClassTokenPool": "layers",
    "ClassifierHead": "layers",
    "ConvTokenizer": "layers",
    "EncoderBlock": "layers",
    "GrassmannAttention": "layers",
    "InputError": "errors",
    "ManifoldAttention": "layers",
    "ModelConfig": "model_config",
    "ObservabilityTokens": "layers",
    "PatchTokenizer": "layers",
    "PositionEmbedding": "layers",
    "KerasPredictor": "predictor",
    "Predictor": "predictor",
    "Recipe": "recipe",
    "SGD": "optimizers",
    "SelfAttention": "layers",
    "SequencePool": "layers",
    "StochasticDepth": "layers",
    "TokenGrid": "layers",
    "ViTLite": "factory",
    "build_model": "model",
    "class_names": "labels",
    "convert_weights": "convert",
    "create_model": "factory",
    "create_optimizer": "training.optimization",
    "evaluate": "evaluation",
    "export_saved_model": "export",
    "export_torch_weights": "weights",
    "features": "features",
    "load_predictor": "evaluation",
    "load_recipe": "recipe",
    "load_sample": "data",
    "open_data": "data.sources",
    "load_torch_weights": "weights",
    "predict_files": "evaluation",
    "resume": "training",
    "save_weights_file": "weights",
    "train": "training",
    **dict.fromkeys([*FAMILY_SIZES, *list_models()], "factory"),
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
    importlib.import_module("keras_cct.optimizers")
