"""Lists the published variants and returns the config of each. Importing this module does not import Keras."""

import dataclasses
import difflib
import fnmatch
import re
from typing import Any

from keras_cct.errors import InputError
from keras_cct.facts.datasets import DATASETS
from keras_cct.models.config import ModelConfig
from keras_cct.models.foreign_arguments import foreign_argument_hint
from keras_cct.models.variant_table import ARCHITECTURES, SIZES, SIZES_OF_ARCHITECTURE, VARIANTS

FAMILY_SIZES = {
    f"{architecture}_{size}": (architecture, size)
    for architecture, sizes in SIZES_OF_ARCHITECTURE.items()
    for size in sizes
}
"""Names of the sizes, e.g. "cct_14", with their architecture and number of blocks."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of all published variants that match a wildcard, sorted by architecture and size.

    Args:
        pattern: Shell wildcard, e.g. "cct_*_sine".

    Example:
        >>> list_models("cct_14*")
        ['cct_14_7x2_224', 'cct_14_7x2_384', 'cct_14_7x2_384_fl']
    """
    names = fnmatch.filter(VARIANTS, str(pattern))
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def variant_dataset(name: str) -> str:
    """Returns the dataset that a variant was published for, a key of `keras_cct.facts.datasets.DATASETS`.

    Raises:
        InputError: The name is unknown.
    """
    if not isinstance(name, str) or name not in VARIANTS:
        matches = difflib.get_close_matches(str(name), [*VARIANTS, *FAMILY_SIZES], n=3)
        hint = f"Did you mean {' or '.join(map(repr, matches))}? " if matches else ""
        raise InputError(f"unknown variant {name!r}. {hint}Run `keras_cct models` for the full list.")
    return VARIANTS[name].dataset


def variant_config(name: str, /, **overrides: Any) -> ModelConfig:
    """Returns the config of a variant or size.

    Args:
        name: Name of a published variant, e.g. "cct_7_3x1_32", or of a size, e.g. "cct_7".
        **overrides: Fields of `ModelConfig` to replace. If the images do not have three channels, the dataset's mean
            and standard deviation are averaged over the channels, unless `normalization` is given.

    Raises:
        InputError: The name or an argument is unknown, or a value is out of range.
    """
    if "family" in overrides:
        raise InputError(f"family={overrides['family']!r} conflicts with {name!r}. Use CCT, CVT or ViTLite instead.")
    if isinstance(name, str) and name in FAMILY_SIZES:
        architecture, size = FAMILY_SIZES[name]
        family = ARCHITECTURES[architecture]["family"]
        fields = ARCHITECTURES[architecture] | SIZES[size] | default_tokenizer(family) | {"name": name}
        return make_config(fields | overrides)
    dataset = DATASETS[variant_dataset(name)]
    variant = VARIANTS[name]
    fields = {
        **ARCHITECTURES[variant.architecture],
        **SIZES[variant.size],
        **variant.tokenizer,
        "input_shape": (variant.image_size, variant.image_size, 3),
        "position_embedding": variant.position_embedding,
        "num_classes": dataset.num_classes,
        "name": name,
        **overrides,
    }
    if "normalization" in overrides:
        return make_config(fields)
    config = make_config(fields | {"normalization": None})
    if config.input_shape[-1] == 3:
        return dataclasses.replace(config, normalization=(dataset.mean, dataset.std))
    return dataclasses.replace(config, normalization=(sum(dataset.mean) / 3, sum(dataset.std) / 3))


def default_tokenizer(family: str) -> dict[str, int]:
    """Returns the default tokenizer fields of a family."""
    return {"kernel_size": 3, "num_conv_layers": 1} if family == "cct" else {"patch_size": 4}


def make_config(fields: dict[str, Any]) -> ModelConfig:
    """Returns the config with these fields.

    Raises:
        InputError: A field is unknown, or a value is out of range.
    """
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    for field, value in fields.items():
        if field in known:
            continue
        hint = foreign_argument_hint(field, value)
        if hint is not None:
            raise InputError(f"unknown argument {field!r}. {hint}")
        matches = difflib.get_close_matches(field, known, n=1)
        hint = f"Did you mean {matches[0]!r}?" if matches else f"Choose from {', '.join(known)}."
        raise InputError(f"unknown argument {field!r}. {hint}")
    return ModelConfig(**fields)
