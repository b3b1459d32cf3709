"""Recomputes the parts of tests/fixtures/golden_recipe.json that timm 0.4.12 and PyTorch define.

    pip download timm==0.4.12 --no-deps && unzip timm-0.4.12-py3-none-any.whl
    pip install torch pillow pyyaml
    python tools/make_golden_recipe.py timm

The inputs of each case are read from the stored file and its outputs are recomputed: RandAugment's operations and
levels, crops resized by Pillow, Mixup's targets, CutMix's boxes, the losses, AdamW, EMA and the learning rates of every
configuration. The tool prints how much each section differs, and writes the file only if a difference is larger than
rounding.

The other sections stay as stored. `random_resized_crop` and `eval_resize_crop` tabulate formulas of timm's transforms,
which need torchvision; `random_erasing` tabulates one that draws random numbers; `mixup_pixels_uint8` and the
normalization are one formula each; `weight_decay_groups` needs the reference models; the "new" boxes of `cutmix_bbox`
are those of timm 1.0.31.
"""

import argparse
import copy
import importlib
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml
from make_golden import largest_difference
from PIL import Image

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "fixtures" / "golden_recipe.json"
TOLERANCE = 1e-6
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SCRIPT_DEFAULTS = {
    "sched": "step",
    "lr": 0.01,
    "warmup_lr": 1e-4,
    "min_lr": 1e-5,
    "epochs": 200,
    "decay_epochs": 30,
    "decay_rate": 0.1,
    "warmup_epochs": 3,
    "cooldown_epochs": 10,
}
"""Defaults of the reference's training script for the keys that decide the learning rates."""


def add_timm(folder: Path) -> None:
    """Makes timm's modules importable without its __init__ files, which need torchvision."""
    for name in ("timm", "timm.data", "timm.utils"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder.parent / name.replace(".", "/"))]


def recompute_operations(section: dict) -> None:
    """Applies RandAugment's operations to the input image."""
    operations = importlib.import_module("timm.data.auto_augment").NAME_TO_OP
    image = Image.fromarray(np.array(section["input"], dtype="uint8").reshape(section["shape"]))
    for case in section["outputs"]:
        arguments = [] if case["arg"] is None else [case["arg"]]
        options = {}
        if "interpolation" in case:
            options = {"resample": RESAMPLING[case["interpolation"]], "fillcolor": tuple(case["fill"])}
        result = operations[case["op"]](image, *arguments, **options)
        case["output"] = np.asarray(result).ravel().tolist()


def recompute_levels(section: dict) -> None:
    """Converts RandAugment's levels to the arguments of the operations, with both signs."""
    auto_augment = importlib.import_module("timm.data.auto_augment")
    section["ops"] = list(auto_augment._RAND_INCREASING_TRANSFORMS)
    for name, levels in section["levels"].items():
        to_arguments = auto_augment.LEVEL_TO_ARG[name]
        for level in levels:
            if to_arguments is None:
                continue
            values = {}
            for sign, draw in (("plus", 0.0), ("minus", 1.0)):  # the sign flips above 0.5
                with mock.patch("random.random", return_value=draw):
                    (values[sign],) = to_arguments(float(level), {})
            levels[level] = values["plus"] if values["plus"] == values["minus"] else values


def recompute_crops(section: dict, input_section: dict) -> None:
    """Crops and resizes the input image with Pillow."""
    image = Image.fromarray(np.array(input_section["input"], dtype="uint8").reshape(input_section["shape"]))
    for case in section["cases"]:
        crop = image.crop(case["crop_left_top_right_bottom"])
        resized = crop.resize((case["size"], case["size"]), RESAMPLING[case["interpolation"]])
        case["output"] = np.asarray(resized).ravel().tolist()


def recompute_boxes(section: dict) -> None:
    """Computes CutMix's boxes and corrected lambdas around given centers."""
    mixup = importlib.import_module("timm.data.mixup")
    for case in section["cases"]:
        with mock.patch("numpy.random.randint", side_effect=[case["cy"], case["cx"]]):
            (y0, y1, x0, x1), lam = mixup.cutmix_bbox_and_lam((case["H"], case["W"]), case["lam"])
        box = {"y0": y0, "y1": y1, "x0": x0, "x1": x1}
        case["old"] = {key: int(value) for key, value in box.items()} | {"lam_corrected": float(lam)}


def recompute_targets(section: dict) -> None:
    """Computes Mixup's smoothed targets."""
    mixup = importlib.import_module("timm.data.mixup")
    for case in section["cases"]:
        labels = torch.tensor(case["labels"])
        targets = mixup.mixup_target(labels, case["num_classes"], case["lam"], case["smoothing"], device="cpu")
        for row, target in zip(case["rows"], targets.double().tolist(), strict=True):
            row["values"] = {label: target[int(label)] for label in row["values"]}
            others = {value for label, value in enumerate(target) if str(label) not in row["values"]}
            (row["all_other_classes"],) = others
            row["sum"] = sum(target)


def recompute_losses(section: dict, targets_of: Callable[..., torch.Tensor]) -> None:
    """Computes the four losses of the training script."""
    losses = importlib.import_module("timm.loss.cross_entropy")
    logits, labels = torch.tensor(section["logits"], dtype=torch.float64), torch.tensor(section["labels"])
    values = section["values"]
    for lam in (1.0, 0.7):
        targets = targets_of(labels, logits.shape[1], lam, 0.1, device="cpu")
        values[f"soft_target_lam{lam}"] = losses.SoftTargetCrossEntropy()(logits, targets).item()
    values["label_smoothing_0.1"] = losses.LabelSmoothingCrossEntropy(0.1)(logits, labels).item()
    values["plain_ce"] = torch.nn.functional.cross_entropy(logits, labels).item()


def recompute_adamw(section: dict) -> None:
    """Takes AdamW's steps in float64."""
    variables = {key: torch.tensor(value, dtype=torch.float64) for key, value in section["init"].items()}
    groups = [{"params": [variables[key]], "weight_decay": section["weight_decay"][key]} for key in variables]
    optimizer = torch.optim.AdamW(groups, betas=tuple(section["betas"]), eps=section["eps"])
    section["after_each_step"] = []
    for step in section["steps"]:
        for group in optimizer.param_groups:
            group["lr"] = step["lr"]
        for key, variable in variables.items():
            variable.grad = torch.tensor(step[f"g{key}"], dtype=torch.float64)
        optimizer.step()
        section["after_each_step"].append({key: variable.tolist() for key, variable in variables.items()})


def recompute_ema(section: dict) -> None:
    """Averages a single weight."""
    model = torch.nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(section["init_equals_model"])
    average = importlib.import_module("timm.utils.model_ema").ModelEmaV2(model, section["decay"])
    section["ema_after_each"] = []
    for value in section["model_values"]:
        model.weight.data.fill_(value)
        average.update(model)
        section["ema_after_each"].append(average.module.weight.item())


def recompute_learning_rates(section: dict) -> None:
    """Follows the schedule of every configuration."""
    create_scheduler = importlib.import_module("timm.scheduler.scheduler_factory").create_scheduler
    for name, schedule in section.items():
        keys = SCRIPT_DEFAULTS | yaml.safe_load((ROOT / "keras_cct" / "configs" / name).read_text())
        keys |= {key: float(keys[key]) for key in ("lr", "warmup_lr", "min_lr")}  # PyYAML reads 55e-5 as a string
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=keys["lr"])
        scheduler, schedule["num_epochs"] = create_scheduler(types.SimpleNamespace(**keys), optimizer)
        rates = []
        for epoch in range(schedule["num_epochs"]):
            scheduler.step(epoch)
            rates.append(optimizer.param_groups[0]["lr"])
        if "lr_per_epoch" in schedule:
            schedule["lr_per_epoch"] = rates
        else:
            schedule["lr_at_epochs"] = {epoch: rates[int(epoch)] for epoch in schedule["lr_at_epochs"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("timm", type=Path, help="the package folder of timm 0.4.12")
    add_timm(parser.parse_args().timm.resolve())
    stored = json.loads(GOLDEN.read_text())
    golden = copy.deepcopy(stored)
    recompute_operations(golden["op_images"])
    recompute_levels(golden["randaugment"])
    recompute_crops(golden["crop_resize"], golden["op_images"])
    recompute_boxes(golden["cutmix_bbox"])
    recompute_targets(golden["mixup_targets"])
    recompute_losses(golden["losses"], importlib.import_module("timm.data.mixup").mixup_target)
    recompute_adamw(golden["adamw"])
    recompute_ema(golden["ema"])
    recompute_learning_rates(golden["lr"])
    differences = {name: largest_difference(golden[name], stored[name]) for name in golden}
    for name, difference in differences.items():
        print(f"{name:22} differs by {difference:.1e}")
    if max(differences.values()) <= TOLERANCE:
        print(f"{GOLDEN} is up to date.")
    else:
        GOLDEN.write_text(json.dumps(golden))
        print(f"Wrote {GOLDEN}.")


if __name__ == "__main__":
    main()
