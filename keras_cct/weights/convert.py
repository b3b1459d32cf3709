"""Weights from one kind of file to another, bit for bit."""

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import keras

from keras_cct.errors import InputError, check_count
from keras_cct.layers.tokenizers import ConvTokenizer, PatchTokenizer
from keras_cct.models.build import build_model
from keras_cct.models.config import ModelConfig, Normalization
from keras_cct.models.variants import variant_config
from keras_cct.weights.files import MODEL_ENDING, check_new_file, inspect_weights, load_weights_file, save_weights_file
from keras_cct.weights.formats import read_keras_file
from keras_cct.weights.pretrained import find_checkpoint, is_tag
from keras_cct.weights.resolve import check_source, find_weights


def convert_weights(
    source: str | PathLike,
    target: str | PathLike,
    model: str | None = None,
    *,
    img_size: Sequence[int] | None = None,
    attention_type: str | None = None,
    normalization: Normalization | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Writes the weights in one file to a file of another kind, told by its ending, and reads it back to compare.

    They are written in float32, which holds half precision exactly and rounds double precision.
    The number of classes and channels, and whether there are a head and a position embedding, are the source's.

    Args:
        source: A `.keras` file, which tells its model; or a `.weights.h5` file or a state dict in the original's names
            (`.safetensors`, `.pth`, `.pt`, `.pth.tar`), the address of one, or the tag of a checkpoint.
        target: The file to make, of any of these kinds; it must not exist yet.
        model: Name of the variant or size, for every source but a `.keras` file.
        img_size: (height, width) of the images in pixels. If not given, the variant's, or the square that makes as many
            tokens as the source has positions.
        attention_type: That of the source, if not the variant's.
        normalization: (mean, std) of the pixels in units of 0..1, for a `.keras` target; the variant's if not given.
        class_names: Names of the classes, for a `.keras` target; those of a checkpoint if not given.

    Raises:
        InputError: The source cannot be read or is of no such model, or the target cannot be written.
        RuntimeError: The target holds other weights than the source; it is not left.
    """
    check_new_file(target)
    settings = {
        "img_size": img_size,
        "attention_type": attention_type,
        "normalization": normalization,
        "class_names": class_names,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if str(source).endswith(MODEL_ENDING):
        _refuse(source, model=model, **given)
        save_weights_file(read_keras_file(source), target)
    elif model is None:
        if not is_tag(str(source)):
            check_source(str(source))
        raise InputError(f"{str(source)!r} does not tell its model. Give the name of a variant as model, or --model.")
    elif is_tag(str(source)):
        _refuse(source, img_size=img_size)
        fields = find_checkpoint(model, str(source)).model_fields() | given
        save_weights_file(_load_model(model, find_weights(model, source), **fields), target)
    else:
        save_weights_file(_read_model(source, model, **given), target)


def _refuse(source: str | PathLike, **given) -> None:
    """Raises InputError for the first value that the source tells itself."""
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}={value!r} means nothing to {str(source)!r}, which tells it itself. Leave it out.")


def _read_model(source: str | PathLike, model: str, img_size: Sequence[int] | None = None, **given) -> keras.Model:
    """Returns the model that weights come from, with them in it."""
    config = variant_config(model)
    file = find_weights(model, source)
    info = inspect_weights(file)
    if info.num_classes is None:
        given["include_top"] = False
    else:
        given["num_classes"] = info.num_classes
    if info.num_tokens is None:
        given["position_embedding"] = "none"
    height, width = _image_size(config, img_size, info.num_tokens, file)
    # With the classes, channels and tokens of the source nothing is left to be fitted.
    return _load_model(model, file, input_shape=(height, width, info.channels), **given)


def _load_model(variant: str, file: Path, **fields) -> keras.Model:
    model = build_model(variant_config(variant, **fields))
    load_weights_file(model, file)
    return model


def _image_size(
    config: ModelConfig, img_size: Sequence[int] | None, num_tokens: int | None, file: Path
) -> Sequence[int]:
    """Returns the (height, width) given, the variant's, or that of a square, whichever makes `num_tokens` tokens."""
    if config.family == "cct":
        tokenizer = ConvTokenizer(config.dim, config.kernel_size, config.num_conv_layers)
        reduction = (2 * tokenizer.stride) ** config.num_conv_layers
    else:
        tokenizer, reduction = PatchTokenizer(config.dim, config.patch_size), config.patch_size
    square = 2 * (math.isqrt(num_tokens or 1) * reduction,)
    sizes = [config.input_shape[:2], square] if img_size is None else [_sides(img_size)]
    for size in sizes:
        if num_tokens in (None, math.prod(tokenizer.token_grid((None, *size, 1)))):
            return size
    tried = " or ".join(f"{height}x{width}" for height, width in sizes)
    raise InputError(
        f"{str(file)!r} has {num_tokens} positions, and images of {tried} pixels do not make as many tokens for "
        f"{config.name!r}. Give the (height, width) of its images as img_size, or --img-size."
    )


def _sides(img_size: Sequence[int]) -> tuple[int, int]:
    sides = [check_count("img_size", side) for side in img_size]
    if len(sides) != 2:
        raise InputError(f"img_size={img_size!r} is not (height, width). Give two numbers of pixels.")
    return sides[0], sides[1]
