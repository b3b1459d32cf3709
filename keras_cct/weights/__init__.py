"""Weights from elsewhere: PyTorch's state dicts in and out, and files by their ending, fitted to the model."""

from keras_cct.weights.files import load_weights_file, save_weights_file
from keras_cct.weights.find import find_weights
from keras_cct.weights.fit import fit_state_dict
from keras_cct.weights.keras_file import read_keras_file
from keras_cct.weights.resize import resize_position_embedding
from keras_cct.weights.torch_weights import export_torch_weights, load_torch_weights
from keras_cct.weights.traits import Traits, read_traits

__all__ = [
    "Traits",
    "export_torch_weights",
    "find_weights",
    "fit_state_dict",
    "load_torch_weights",
    "load_weights_file",
    "read_keras_file",
    "read_traits",
    "resize_position_embedding",
    "save_weights_file",
]
