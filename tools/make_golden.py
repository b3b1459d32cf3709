"""Regenerates tests/fixtures/golden.json from the reference implementations' PyTorch code.

    git clone https://github.com/SHI-Labs/Compact-Transformers shi-labs
    git clone https://github.com/iliasprc/Compact-Transformers manifold
    pip install torch einops
    python tools/make_golden.py shi-labs manifold

The first repository contains ViT-Lite, CVT and CCT, the second the manifold variants. Every model gets the
deterministic weights of tests/fixtures/reference_weights.py and is evaluated in float64. The tool prints how much each
case differs from the stored one, and writes the file only if a difference is larger than rounding.

The reference classes are constructed directly, because the reference's CCT and CVT functions ignore
`positional_embedding`. The signs of singular vectors, which LAPACK leaves open, are fixed: in each column of U the
entry with the largest magnitude is positive.
"""

import argparse
import contextlib
import dataclasses
import importlib
import io
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from keras_cct.models.config import ModelConfig
from keras_cct.models.variants import variant_config

TESTS = Path(__file__).parents[1] / "tests"
GOLDEN = TESTS / "fixtures" / "golden.json"
INPUT_SEED = 2104
TOLERANCE = 1e-6
"""Largest difference between two machines. Grassmannian blocks amplify rounding; the other cases agree to 1e-13."""
POSITION_EMBEDDING = "classifier.positional_emb"

CASES = {
    **{
        name: (name, {})
        for name in (
            "cct_2_3x2_32",
            "cct_4_3x2_32_sine",
            "cct_6_3x2_32",
            "cct_7_3x1_32",
            "cct_7_3x1_32_sine_c100",
            "cct_7_7x2_224_sine",
            "cct_14_7x2_224",
            "cct_14_7x2_384_fl",
            "cvt_7_4_32",
            "cvt_2_4_32_sine",
            "vit_7_4_32",
            "vit_2_4_32_sine",
        )
    },
    "cct_2_3x2_32 without position embedding": ("cct_2_3x2_32", {"position_embedding": "none"}),
    "cct_2_3x2_28 grayscale": ("cct_2_3x2_32", {"input_shape": (28, 28, 1)}),
    "cct_7_7x2_224 to 256": ("cct_7_7x2_224", {}),
    "vit_2_4_32 to 48": ("vit_2_4_32", {}),
    "manifold_vit_6_4_32 all": ("manifold_vit_6_4_32", {}),
    "manifold_cvt_6_4_32 all": ("manifold_cvt_6_4_32", {}),
    "manifold_cct_7_3x2_32 all": ("manifold_cct_7_3x2_32", {}),
    "manifold_cct_7_3x2_32 gm": ("manifold_cct_7_3x2_32", {"attention_type": "gm"}),
    "manifold_cct_7_3x2_32 spd": ("manifold_cct_7_3x2_32", {"attention_type": "spd"}),
    "manifold_cct_7_7x2_224 all": ("manifold_cct_7_7x2_224", {}),
    "grassmanian_vit_6_4_32": ("grassmanian_vit_6_4_32", {}),
}
"""The variant of each case, and the fields in which the case differs from it."""

REFERENCE_CLASSES = {
    "cct": "CCT",
    "cvt": "CVT",
    "vit": "ViTLite",
    "manifold_cct": "ManifoldCCT",
    "manifold_cvt": "ManifoldCVT",
    "manifold_vit": "ManifoldViT",
    "grassmanian_vit": "GrassmanianViTLite",
}
"""The class in each of the references' modules."""


@contextlib.contextmanager
def reference_package(folder: Path) -> Iterator[None]:
    """Makes `folder`/src importable as `src`, without its __init__ files, which import far more than is needed."""
    packages = {}
    for name in ("src", "src.utils"):
        packages[name] = types.ModuleType(name)
        packages[name].__path__ = [str(folder / name.replace(".", "/"))]
    with mock.patch.dict(sys.modules, packages):
        yield


def reference_model(config: ModelConfig, module: str) -> torch.nn.Module:
    """Returns the reference's model for one of our configs, with its own random weights."""
    if config.family == "cct":
        tokenizer = {
            "kernel_size": config.kernel_size,
            "stride": max(1, config.kernel_size // 2 - 1),
            "padding": max(1, config.kernel_size // 2),
            "n_conv_layers": config.num_conv_layers,
        }
    else:
        tokenizer = {"kernel_size": config.patch_size}
    reference_class = getattr(importlib.import_module(f"src.{module}"), REFERENCE_CLASSES[module])
    with contextlib.redirect_stdout(io.StringIO()):  # ManifoldCCT prints its attention type
        return reference_class(
            img_size=config.input_shape[0],
            n_input_channels=config.input_shape[2],
            embedding_dim=config.dim,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            mlp_ratio=config.mlp_ratio,
            num_classes=config.num_classes,
            positional_embedding=config.position_embedding,
            attention_type=config.attention_type,
            **tokenizer,
        )


def deterministic_state_dict(model: torch.nn.Module, sine: bool) -> dict[str, torch.Tensor]:
    """Returns the generated weights of a model; a sine table keeps its values."""
    from fixtures.reference_weights import reference_state_dict

    entries = [(key, list(value.shape)) for key, value in model.state_dict().items()]
    weights = {key: torch.from_numpy(value) for key, value in reference_state_dict(entries).items()}
    if sine:
        weights[POSITION_EMBEDDING] = model.state_dict()[POSITION_EMBEDDING]
    return weights


def evaluate(model: torch.nn.Module, config: ModelConfig) -> dict[str, np.ndarray]:
    """Returns tokens, features and logits of a model in float64 for the two reference images.

    The reference adds the position embedding to the tokens in place, so the tokens of CCT and CVT include it.
    """
    from fixtures.reference_weights import reference_images

    images = reference_images(*config.input_shape, seed=INPUT_SEED).transpose(0, 3, 1, 2).copy()
    outputs = {}
    model = model.double().eval()
    model.tokenizer.register_forward_hook(lambda module, inputs, output: outputs.update(tokens=output))
    model.classifier.fc.register_forward_pre_hook(lambda module, inputs: outputs.update(features=inputs[0]))
    with torch.inference_mode(), mock.patch("torch.linalg.svd", svd_with_fixed_signs(torch.linalg.svd)):
        outputs["logits"] = model(torch.from_numpy(images).double())
    return {name: output.numpy() for name, output in outputs.items()}


def svd_with_fixed_signs(svd: Callable) -> Callable:
    """Returns an SVD in which the entry of largest magnitude in each column of U is positive."""

    def function(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        u, s, vh = svd(matrices)
        largest = u.abs().argmax(dim=-2, keepdim=True)
        signs = torch.sign(torch.gather(u, -2, largest))  # (..., 1, columns)
        rows = vh[..., : s.shape[-1], :] * signs.transpose(-1, -2)
        return u * signs, s, torch.cat([rows, vh[..., s.shape[-1] :, :]], dim=-2)

    return function


def compute_case(name: str) -> dict[str, object]:
    """Returns one golden case, in the format of golden.json."""
    variant, overrides = CASES[name]
    config = variant_config(variant, **overrides)
    module = next(module for module in REFERENCE_CLASSES if variant.startswith(module))
    model = reference_model(config, module)
    weights = deterministic_state_dict(model, config.position_embedding == "sine")
    case = {
        "input": list(config.input_shape),
        "input_seed": INPUT_SEED,
        "state_dict": [[key, list(value.shape)] for key, value in model.state_dict().items()],
    }
    _, is_resized, size = name.partition(" to ")
    if is_resized:
        config = dataclasses.replace(config, input_shape=(int(size), int(size), 3))
        model = reference_model(config, module)
        case["input"] = list(config.input_shape)
        weights = importlib.import_module("src.utils.helpers").pe_check(model, weights)
        embedding = weights[POSITION_EMBEDDING][0, :, :4]
        case["resized_position_embedding_first"] = embedding[:3].flatten().tolist()
        case["resized_position_embedding_last"] = embedding[-2:].flatten().tolist()
    model.load_state_dict(weights)
    outputs = evaluate(model, config)
    if not is_resized:
        case |= {
            "position_embedding": config.position_embedding,
            "num_params": sum(parameter.numel() for parameter in model.parameters()),
            "num_tokens": outputs["tokens"].shape[1],
            "tokens_mean": float(outputs["tokens"].mean()),
            "tokens_first": outputs["tokens"][0, :2, :4].ravel().tolist(),
            "features_first": outputs["features"][0, :8].tolist(),
        }
    case["logits"] = outputs["logits"][:, :10].tolist()
    case["logits_sum"] = outputs["logits"].sum(axis=1).tolist()
    return case


def largest_difference(new: object, old: object) -> float:
    """Returns the largest difference between two numbers in nested lists and dictionaries, infinite for any other."""
    if isinstance(new, float) and isinstance(old, float):
        return abs(new - old)
    if isinstance(new, dict) and isinstance(old, dict) and list(new) == list(old):
        return max(largest_difference(new[key], old[key]) for key in new)
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return max((largest_difference(*pair) for pair in zip(new, old, strict=True)), default=0.0)
    return 0.0 if new == old else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("vision", type=Path, help="folder of SHI-Labs/Compact-Transformers")
    parser.add_argument("manifold", type=Path, help="folder of iliasprc/Compact-Transformers")
    options = parser.parse_args()
    sys.path.append(str(TESTS))
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    cases, differences = {}, []
    for name in CASES:
        is_manifold = name.startswith(("manifold_", "grassmanian_"))
        with reference_package(options.manifold if is_manifold else options.vision):
            cases[name] = compute_case(name)
        differences.append(largest_difference(cases[name], stored.get(name)))
        print(f"{name:45} differs by {differences[-1]:.1e}", flush=True)
    if max(differences) <= TOLERANCE and list(cases) == list(stored):
        print(f"{GOLDEN} is up to date.")
    else:
        GOLDEN.write_text(json.dumps(cases, separators=(",", ":")))
        print(f"Wrote {GOLDEN}.")


if __name__ == "__main__":
    main()
