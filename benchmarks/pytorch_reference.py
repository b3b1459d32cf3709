"""The PyTorch reference implementations that the races compare with."""

import contextlib
import importlib.util
import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_cct.errors import InputError
from keras_cct.models.config import ModelConfig

if TYPE_CHECKING:
    import torch

BATCH_SIZES = {"cct_2_3x2_32": 128, "cct_7_3x1_32": 64, "cct_14_7x2_224": 8}
MANIFOLD_BATCH_SIZES = {"manifold_cct_7_3x2_32": 32, "manifold_cct_7_7x2_224": 32, "grassmanian_vit_6_4_32": 32}
"""Variants that vit_pytorch and Compact-Transformers implement, with the batch size of the races."""

REFERENCE_ADVICE = "Use the path of vit_pytorch/cct.py or of the folder Compact-Transformers."
LEARNING_RATE, WEIGHT_DECAY = 5e-4, 0.03


def load_reference(path: str) -> Callable[[ModelConfig], "torch.nn.Module"]:
    """Returns a function that creates the PyTorch model for a model config.

    Args:
        path: The file `cct.py` of vit_pytorch, or the folder Compact-Transformers.

    Raises:
        InputError: The path is not one of these, or a required package is not installed.
    """
    if Path(path).is_dir():
        return load_manifold_reference(Path(path))
    if not path.endswith(".py"):
        raise InputError(f"{path!r} is not a Python file. {REFERENCE_ADVICE}")
    spec = importlib.util.spec_from_file_location("vit_pytorch_cct", path)
    reference = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(reference)
    except ImportError as error:
        raise InputError(f"{path!r} cannot be imported: {error}. Run `pip install torch einops`.") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{path!r} is not valid Python: {error}. {REFERENCE_ADVICE}") from error
    if not all(hasattr(reference, _reference_function(name)) for name in BATCH_SIZES):
        raise InputError(f"{path!r} has no functions cct_2, cct_7 and cct_14. {REFERENCE_ADVICE}")
    return lambda config: getattr(reference, _reference_function(config.name))(
        img_size=config.input_shape[:2],
        kernel_size=config.kernel_size,
        n_conv_layers=config.num_conv_layers,
        num_classes=config.num_classes,
        positional_embedding=config.position_embedding,
    )


def load_manifold_reference(folder: Path) -> Callable[[ModelConfig], "torch.nn.Module"]:
    """Returns a function that creates the Compact-Transformers model for the config of a manifold model.

    Raises:
        InputError: The folder is a different one, or a required package is not installed.
    """
    # Empty packages replace the real ones, whose `__init__` imports all models and their many requirements.
    for name in ("src", "src.utils"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    try:
        modules = {name: importlib.import_module(f"src.{_reference_function(name)}") for name in MANIFOLD_BATCH_SIZES}
    except ImportError as error:
        raise InputError(
            f"{str(folder)!r} cannot be imported: {error}. Use the folder Compact-Transformers, and "
            "run `pip install torch einops`."
        ) from error

    def create_reference(config: ModelConfig) -> "torch.nn.Module":
        with contextlib.redirect_stdout(io.StringIO()):  # the models print a banner
            function = getattr(modules[config.name], config.name)
            return function() if config.attention_type == "grassmann" else function(attention_type="all")

    return create_reference


def _reference_function(name: str) -> str:
    return "_".join(name.split("_")[:2])  # cct_7_3x1_32 -> cct_7, manifold_cct_7_3x2_32 -> manifold_cct


def create_torch_steps(
    model: "torch.nn.Module",
    weights: dict,
    images: np.ndarray,
    labels: np.ndarray,
    compiles: bool = False,
    autocasts: bool = False,
    device: str = "cpu",
) -> tuple[Callable, Callable]:
    """Loads the weights and returns an inference step, which returns float32 logits, and a training step.

    On a GPU, both may return before the computation ends.
    """
    import torch

    model.load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()}, strict=True)
    model.to(device)
    images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))  # (batch, channels, height, width)
    images, labels = images.to(device), torch.from_numpy(labels).to(device)
    is_fused = device != "cpu"  # PyTorch's fastest update on GPUs
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=is_fused or None)
    network = torch.compile(model) if compiles else model

    def infer() -> torch.Tensor:
        model.eval()
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=autocasts):
            return network(images).float()

    def train() -> torch.Tensor:
        model.train()
        with torch.autocast(device, torch.bfloat16, enabled=autocasts):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return infer, train
