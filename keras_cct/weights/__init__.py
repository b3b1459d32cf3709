"""Weights from elsewhere: PyTorch's state dicts in and out, and files by their ending."""

from keras_cct.weights.files import check_weights_file, load_weights_file
from keras_cct.weights.torch_weights import export_torch_weights, load_torch_weights

__all__ = ["check_weights_file", "export_torch_weights", "load_torch_weights", "load_weights_file"]
