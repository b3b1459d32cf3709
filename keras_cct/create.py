"""Functions that make models: by name, by size and by family."""

import inspect
from collections.abc import Callable, Sequence
from os import PathLike

import keras

from keras_cct.errors import InputError
from keras_cct.models.build import build_model
from keras_cct.models.config import ModelConfig, Normalization
from keras_cct.models.variants import FAMILY_SIZES, list_models, make_config, variant_config
from keras_cct.weights.files import load_weights_file
from keras_cct.weights.pretrained import find_checkpoint, is_tag
from keras_cct.weights.resolve import find_weights


def create_model(
    name: str,
    /,
    *,
    weights: str | PathLike | None = None,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    position_embedding: str | None = None,
    normalization: Normalization | str | None = "dataset",
    **overrides,
) -> keras.Model:
    """Returns the model of a variant. What is not given is as published.

    Args:
        name: A variant of `list_models()`, e.g. "cct_7_3x1_32", or a size, e.g. "cct_7".
        weights: Tag of a checkpoint ("imagenet", "cifar10", "cifar10-1500"; `keras_cct models --pretrained` lists
            them), or path or address of a `.keras` file or of a state dict in the original's names (`.safetensors`,
            `.pth`, `.pt`, `.pth.tar`) of the same variant, fitted to images of another size or number of channels and
            to other classes; or of a Keras weights file (`.weights.h5`) of the very model. None gives fresh weights.
            With a tag, what is not given is as the checkpoint was trained, the names of its classes included.
        input_shape: (height, width, channels) of the images; they need not be square.
        num_classes: Number of logits.
        position_embedding: "learnable", "sine" or "none".
        normalization: (mean, std) of the pixels in units of 0..1, or None for inputs that are normalized already.
            "dataset" is that of the data set the variant or the checkpoint was published for, averaged over the
            channels where there are not three; sizes, published for none, have (0.5, 0.5).
        **overrides: Any other field of `ModelConfig`: `num_layers, num_heads, dim, mlp_ratio, kernel_size,
            num_conv_layers, patch_size, attention_type, map_normalization, observability, dropout_rate,
            attention_dropout_rate, stochastic_depth_rate, include_top, class_names`, and `name`, the Keras model's.

    Returns:
        A functional model from pixels (0..255, any dtype) to logits; with `include_top=False` to pooled features.

    Raises:
        InputError: A name, value or file cannot be used.

    Example:
        >>> model = create_model("cct_2_3x2_32", input_shape=(48, 64, 1), num_classes=5)
    """
    given = {"input_shape": input_shape, "num_classes": num_classes, "position_embedding": position_embedding}
    overrides |= {field: value for field, value in given.items() if value is not None}
    if not isinstance(normalization, str) or normalization != "dataset":
        overrides["normalization"] = normalization
    config = variant_config(name, **_checkpoint_fields(name, weights, num_classes) | overrides)
    if weights is None:
        return build_model(config)
    file = find_weights(name, weights)
    model = build_model(config)
    load_weights_file(model, file)
    return model


def _checkpoint_fields(name: str, weights: str | PathLike | None, num_classes: int | None) -> dict[str, object]:
    """Returns what a checkpoint of the registry knows; for other classes it knows no names."""
    if weights is None or not is_tag(str(weights)):
        return {}
    variant_config(name)  # An unknown variant is told before a checkpoint that it does not have.
    fields = find_checkpoint(name, str(weights)).model_fields()
    if num_classes not in (None, fields["num_classes"]):
        del fields["class_names"]
    return fields


def CCT(*, kernel_size: int = 3, num_conv_layers: int = 1, **fields) -> keras.Model:
    """Returns a Compact Convolutional Transformer: convolutional tokenizer and sequence pooling.

    Args:
        kernel_size: Side of the tokenizer's kernels in pixels.
        num_conv_layers: Number of convolutions in the tokenizer.
        **fields: Other fields of `ModelConfig`, whose defaults are those of CCT-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.3.
    """
    return build_model(_family_config("cct", kernel_size=kernel_size, num_conv_layers=num_conv_layers, **fields))


def CVT(*, patch_size: int = 4, **fields) -> keras.Model:
    """Returns a Compact Vision Transformer: patches and sequence pooling.

    Args:
        patch_size: Side of a patch in pixels; divides height and width.
        **fields: Other fields of `ModelConfig`, whose defaults are those of CVT-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.2.
    """
    return build_model(_family_config("cvt", patch_size=patch_size, **fields))


def ViTLite(*, patch_size: int = 4, **fields) -> keras.Model:
    """Returns a ViT-Lite: patches and a class token.

    Args:
        patch_size: Side of a patch in pixels; divides height and width.
        **fields: Other fields of `ModelConfig`, whose defaults are those of ViT-Lite-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.1.
    """
    return build_model(_family_config("vit", patch_size=patch_size, **fields))


def _family_config(own_family: str, **fields) -> ModelConfig:
    if "family" in fields:
        raise InputError(f"family={fields['family']!r} is not for this function. Take CCT, CVT or ViTLite.")
    return make_config({"name": own_family, "family": own_family, **fields})


def model_function(name: str) -> Callable[..., keras.Model]:
    """Returns `create_model` for one variant or size as a function of that name."""

    def function(**arguments) -> keras.Model:
        return create_model(name, **arguments)

    kind = "size" if name in FAMILY_SIZES else "variant"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Returns the {kind} {name!r}. Takes the arguments of `create_model` but the name."
    parameters = list(inspect.signature(create_model).parameters.values())[1:]
    function.__signature__ = inspect.Signature(parameters, return_annotation=keras.Model)
    return function


def __getattr__(name: str) -> Callable[..., keras.Model]:
    if name in FAMILY_SIZES or name in list_models():
        globals()[name] = model_function(name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
