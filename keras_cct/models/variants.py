"""The published variants: their sizes, the grammar of their names, and the config behind each name.

Names are `[relative_]family_L_PxC_size[_sine][_dataset]`: L blocks, patch or kernel size P, C convolution layers (cct
only), images of size x size pixels; the relatives `manifold` and `grassmanian` attend on manifolds.
Needs no Keras, so that listing them is quick.
"""

import dataclasses
import difflib
import fnmatch
import re

from keras_cct.errors import InputError
from keras_cct.models.config import ModelConfig

SIZES = {
    2: {"num_layers": 2, "num_heads": 2, "dim": 128, "mlp_ratio": 1.0},
    4: {"num_layers": 4, "num_heads": 2, "dim": 128, "mlp_ratio": 1.0},
    6: {"num_layers": 6, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    7: {"num_layers": 7, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    8: {"num_layers": 8, "num_heads": 4, "dim": 256, "mlp_ratio": 2.0},
    14: {"num_layers": 14, "num_heads": 6, "dim": 384, "mlp_ratio": 3.0},
}

RELATIVES = {"": ("cct", "cvt", "vit"), "manifold_": ("cct", "cvt", "vit"), "grassmanian_": ("cct", "vit")}
"""How the names of a family's relatives start, and which families have them; the spelling is the original's."""

FAMILY_SIZES = {
    f"{relative}{family}_{size}": family
    for relative, families in RELATIVES.items()
    for family, sizes in {"cct": (2, 4, 6, 7, 14), "cvt": (2, 4, 6, 7, 8), "vit": (2, 4, 6, 7)}.items()
    for size in sizes
    if family in families
}
"""The sizes offered without a fixed tokenizer, e.g. "cct_14", and the family of each."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a variant takes over from the images it was published for.

    Args:
        num_classes: Number of classes.
        mean: Mean of each channel in units of 0..1.
        std: Standard deviation of each channel in units of 0..1.
    """

    num_classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


DATASETS = {
    "cifar10": Dataset(10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": Dataset(100, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "flowers102": Dataset(102, (0.4353, 0.3773, 0.2872), (0.2966, 0.2455, 0.2698)),
    "imagenet": Dataset(1000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

_DATASET_OF_VISION_VARIANT = {
    **{
        f"{family}_{size}_4_32{suffix}": "cifar10"
        for family in ("vit", "cvt")
        for size in (2, 4, 6, 7)
        for suffix in ("", "_sine")
    },
    **{
        f"cct_{size}_32{suffix}": "cifar10"
        for size in ("2_3x2", "4_3x2", "6_3x1", "6_3x2", "7_3x1", "7_3x2")
        for suffix in ("", "_sine")
    },
    "cct_7_3x1_32_c100": "cifar100",
    "cct_7_3x1_32_sine_c100": "cifar100",
    "cct_7_7x2_224": "flowers102",
    "cct_7_7x2_224_sine": "flowers102",
    "cct_14_7x2_224": "imagenet",
    "cct_14_7x2_384": "imagenet",
    "cct_14_7x2_384_fl": "flowers102",
}

_DATASET_OF_VARIANT = {
    f"{relative}{name}": dataset
    for relative, families in RELATIVES.items()
    for name, dataset in _DATASET_OF_VISION_VARIANT.items()
    if name.startswith(families)
}

_NAME = re.compile(
    r"(?P<relative>manifold_|grassmanian_)?(?P<family>cct|cvt|vit)_(?P<size>\d+)"
    r"(_(?P<kernel>\d+)(x(?P<convolutions>\d+))?_(?P<image>\d+)(?P<sine>_sine)?(_c100|_fl)?)?"
)


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of all published variants that match a wildcard, sorted by family and size.

    Args:
        pattern: Shell wildcard, e.g. "cct_*_sine".

    Example:
        >>> list_models("cct_14*")
        ['cct_14_7x2_224', 'cct_14_7x2_384', 'cct_14_7x2_384_fl']
    """
    names = fnmatch.filter(_DATASET_OF_VARIANT, str(pattern))
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def variant_dataset(name: str) -> str:
    """Returns the data set of a variant, a key of `DATASETS`.

    Raises:
        InputError: The name is unknown.
    """
    if not isinstance(name, str) or name not in _DATASET_OF_VARIANT:
        nearest = difflib.get_close_matches(str(name), [*_DATASET_OF_VARIANT, *FAMILY_SIZES], n=3)
        hint = f"Did you mean {' or '.join(repr(match) for match in nearest)}? " if nearest else ""
        raise InputError(f'unknown variant {name!r}. {hint}"keras_cct models" lists all.')
    return _DATASET_OF_VARIANT[name]


def variant_config(name: str, /, **overrides) -> ModelConfig:
    """Returns the config of a variant.

    Args:
        name: Name of a published variant, e.g. "cct_7_3x1_32", or of a size, e.g. "cct_7".
        **overrides: Fields of `ModelConfig` to replace. For another number of channels than three the mean and std
            are averaged over the channels, unless `normalization` is given.

    Raises:
        InputError: The name, a field or a value is unknown.
    """
    if "family" in overrides:
        raise InputError(
            f"family={overrides['family']!r} does not belong to {name!r}. Take CCT, CVT or ViTLite for that."
        )
    is_size = isinstance(name, str) and name in FAMILY_SIZES
    dataset = None if is_size else DATASETS[variant_dataset(name)]
    match = _NAME.fullmatch(name)
    family = match["family"]
    fields = {"family": family, **SIZES[int(match["size"])], **_attention(match["relative"], family), "name": name}
    if is_size:
        return make_config(fields | default_tokenizer(family) | overrides)
    kernel, image_size = int(match["kernel"]), int(match["image"])
    if family == "cct":
        tokenizer = {"kernel_size": kernel, "num_conv_layers": int(match["convolutions"])}
    else:
        tokenizer = {"patch_size": kernel}
    fields |= {
        **tokenizer,
        "input_shape": (image_size, image_size, 3),
        "num_classes": dataset.num_classes,
        "position_embedding": "sine" if match["sine"] else "learnable",
    } | overrides
    if "normalization" in overrides:
        return make_config(fields)
    config = make_config(fields | {"normalization": None})
    if config.input_shape[-1] == 3:
        return dataclasses.replace(config, normalization=(dataset.mean, dataset.std))
    return dataclasses.replace(config, normalization=(sum(dataset.mean) / 3, sum(dataset.std) / 3))


def _attention(relative: str | None, family: str) -> dict[str, object]:
    """Returns the fields in which a relative differs from its family."""
    if relative == "manifold_":
        rates = {"attention_dropout_rate": 0.0, "stochastic_depth_rate": 0.0} if family == "cct" else {}
        return {"attention_type": "all", **rates}
    if relative == "grassmanian_":
        return {"attention_type": "grassmann", "observability": (4, 4) if family == "cct" else (8, 3)}
    return {}


def default_tokenizer(family: str) -> dict[str, int]:
    """Returns the tokenizer fields of a family where neither a name nor the caller says otherwise."""
    return {"kernel_size": 3, "num_conv_layers": 1} if family == "cct" else {"patch_size": 4}


def make_config(fields: dict) -> ModelConfig:
    """Returns the config of these fields.

    Raises:
        InputError: A field is unknown, or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    for field in fields:
        if field not in known:
            nearest = difflib.get_close_matches(field, known, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Choose from {', '.join(known)}."
            raise InputError(f"unknown argument {field!r}. {hint}")
    return ModelConfig(**fields)
