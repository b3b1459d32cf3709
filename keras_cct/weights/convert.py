"""Converts weights from one file format to another without changing a bit."""

import dataclasses
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from keras_cct.errors import InputError, check_count
from keras_cct.models import names
from keras_cct.models.build import build_model
from keras_cct.models.config import Normalization
from keras_cct.models.variants import variant_config
from keras_cct.weights.files import check_new_file, inspect_weights, load_weights_file, save_weights_file
from keras_cct.weights.formats import read_keras_file
from keras_cct.weights.resolve import resolve_weights


def convert_weights(  # noqa: PLR0913 # most are settings of one kind of source or target
    source: str | PathLike,
    target: str | PathLike,
    model: str | None = None,
    *,
    img_size: Sequence[int] | None = None,
    attention_type: str | None = None,
    normalization: Normalization | None = None,
    class_names: Sequence[str] | None = None,
    trust: bool = False,
) -> None:
    """Converts a weights file to the format of another file name, and verifies the result by reading it back.

    The target is float32, which represents half precision exactly and rounds double precision. The number of classes
    and channels, and whether there is a head and a position embedding, are those of the source.

    Args:
        source: Path or URL of a `.keras` file, which contains its architecture, of a `.weights.h5` file, or of a state
            dict with the names of the reference implementation (`.safetensors`, `.pth`, `.pt`, `.pth.tar`); the tag of
            a checkpoint; or `hf://user/name`, a `.keras` file on the hub.
        target: The file to write, in any of these formats. It must not exist yet.
        model: Name of the variant or size. Required unless the source contains its architecture.
        img_size: (height, width) of the images in pixels. Default: the variant's, or that of the square image which
            gives as many tokens as the source has positions.
        attention_type: Attention type of the source, if not the variant's.
        normalization: (mean, std) of the pixels in [0, 1], for a `.keras` target. Default: the checkpoint's or the
            variant's.
        class_names: Class names, for a `.keras` target. Default: the checkpoint's.
        trust: Whether a `.keras` source may contain other layers than those of this package, and so run any code.

    Raises:
        InputError: The source cannot be read or does not match the variant, or the target cannot be written.
        VerificationError: The written weights differ from the source; the target is deleted.
    """
    check_new_file(target)
    if Path(target).suffix != ".keras" and (normalization is not None or class_names is not None):
        raise InputError(
            f"{str(target)!r} cannot store normalization or class names. Write a .keras file, or leave them out."
        )
    settings = {
        "img_size": img_size,
        "attention_type": attention_type,
        "normalization": normalization,
        "class_names": class_names,
    }
    overrides = {name: value for name, value in settings.items() if value is not None}
    resolved = resolve_weights(model, source)
    if resolved.has_architecture:
        _reject_settings(source, overrides if model is None else {"model": model})
        save_weights_file(read_keras_file(resolved.fetch(), trust=trust), target)
        return
    if model is None:
        raise InputError(
            f"{str(source)!r} does not contain its architecture. Pass the variant as `model` or `--model`."
        )
    if resolved.checkpoint is not None:
        _reject_settings(source, {"img_size": img_size} if img_size is not None else {})
        path, fields = resolved.fetch(), resolved.model_fields()
    else:
        overrides.pop("img_size", None)
        path = resolved.fetch()
        fields = _infer_fields(path, model, img_size)
    # The model has the classes, channels and tokens of the source, so no weight is adapted.
    converted = build_model(variant_config(model, **(fields | overrides)))
    load_weights_file(converted, path)
    save_weights_file(converted, target)


def _reject_settings(source: str | PathLike, settings: dict[str, object]) -> None:
    """Raises InputError for the first setting, if there is one."""
    for name, value in settings.items():
        raise InputError(f"{name}={value!r} conflicts with {str(source)!r}, which defines it. Leave it out.")


def _infer_fields(path: Path, variant: str, img_size: Sequence[int] | None) -> dict[str, object]:
    """Returns the fields of `ModelConfig` that the shapes in a weights file imply."""
    info = inspect_weights(path)
    height, width = _image_size(variant, img_size, info.num_tokens, path)
    fields: dict[str, object] = {"input_shape": (height, width, info.channels)}
    fields |= {"include_top": False} if info.num_classes is None else {"num_classes": info.num_classes}
    return fields | ({"position_embedding": "none"} if info.num_tokens is None else {})


def _image_size(variant: str, img_size: Sequence[int] | None, num_tokens: int | None, path: Path) -> tuple[int, int]:
    """Returns the first of the requested, the variant's or a square image size that gives `num_tokens` tokens."""
    config = variant_config(variant)
    tokenizer = build_model(dataclasses.replace(config, num_layers=1)).get_layer(names.TOKENIZER)
    height, width, _ = config.input_shape
    rows, _ = tokenizer.token_grid((None, height, width, 1))
    side = math.isqrt(num_tokens or 1) * height // rows
    sizes = [(height, width), (side, side)] if img_size is None else [_check_image_size(img_size)]
    counts = [math.prod(tokenizer.token_grid((None, *size, 1))) for size in sizes]
    for size, count in zip(sizes, counts, strict=True):
        if num_tokens in (None, count):
            return size
    tried = " and ".join(f"{height}x{width}" for height, width in sizes)
    raise InputError(
        f"{str(path)!r} has position embeddings of {num_tokens} tokens, but {config.name!r} makes "
        f"{' and '.join(map(str, counts))} from images of {tried} pixels. "
        f"Pass the (height, width) of its images as `img_size` or `--img-size`."
    )


def _check_image_size(img_size: Sequence[int]) -> tuple[int, int]:
    sides = [check_count("img_size", side) for side in img_size]
    if len(sides) != 2:
        raise InputError(f"img_size={img_size!r} is not (height, width). Pass two numbers of pixels.")
    return sides[0], sides[1]
