"""Model constructors: `create_model` for variants and sizes; `CCT`, `CVT` and `ViTLite` for families."""

import inspect
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypedDict, Unpack

import keras

from keras_cct.errors import InputError
from keras_cct.models.build import build_model
from keras_cct.models.config import Normalization
from keras_cct.models.variants import FAMILY_SIZES, list_models, make_config, variant_config
from keras_cct.weights.files import load_weights_file
from keras_cct.weights.formats import read_keras_file
from keras_cct.weights.resolve import resolve_weights


class EncoderFields(TypedDict, total=False):
    """Fields of `ModelConfig` that every function of this module accepts."""

    num_layers: int
    num_heads: int
    dim: int
    mlp_ratio: float
    attention_type: str
    map_normalization: bool | None
    observability: tuple[int, int] | None
    dropout_rate: float
    attention_dropout_rate: float
    stochastic_depth_rate: float
    include_top: bool
    class_names: Sequence[str] | None
    dtype: str | None
    name: str | None


class VariantFields(EncoderFields, total=False):
    """Fields of `ModelConfig` that `create_model` accepts beyond its named arguments."""

    kernel_size: int
    num_conv_layers: int
    patch_size: int


class FamilyFields(EncoderFields, total=False):
    """Fields of `ModelConfig` that `CCT`, `CVT` and `ViTLite` accept beyond their tokenizer's."""

    input_shape: Sequence[int]
    num_classes: int
    position_embedding: str
    normalization: Normalization | None


def create_model(
    variant: str | None = None,
    /,
    *,
    weights: str | PathLike | None = None,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    position_embedding: str | None = None,
    normalization: Normalization | str | None = "dataset",
    trust: bool = False,
    **overrides: Unpack[VariantFields],
) -> keras.Model:
    """Creates a model from the name of a published variant or of a size.

    Omitted arguments default to the values of the published variant. If `weights` is a checkpoint tag, they default to
    the values that the checkpoint was trained with, including its class names.

    Args:
        variant: A variant from `list_models()`, e.g. "cct_7_3x1_32", or a size, e.g. "cct_7" (an architecture and a
            number of encoder blocks, with any tokenizer and input shape). None for the model in `weights` as it is:
            a `.keras` file or a model on the hub. No other argument than `trust` may be given then.
        weights: None for random weights, or one of:

            * Tag of a checkpoint ("imagenet", "cifar10"); `keras_cct models --pretrained` lists them.
            * Path or URL of a `.keras` file, or of a state dict with the reference implementation's keys
              (`.safetensors`, `.pth`, `.pt`, `.pth.tar`), of the same variant. Weights for another input shape or
              number of classes are adapted.
            * Path or URL of a `.weights.h5` file of a model with the same architecture.
            * `hf://user/name` or `hf://user/name@revision`, a model that `keras_cct push` has written to the Hugging
              Face Hub, used as a `.keras` file. Requires the extra "hub".
        input_shape: (height, width, channels) of the images, which need not be square.
        num_classes: Number of logits.
        position_embedding: "learnable", "sine" or "none".
        normalization: (mean, std) for pixels scaled to [0, 1], or None for inputs that are already normalized.
            "dataset" selects the statistics of the dataset that the variant or checkpoint was trained on, averaged
            over the channels if a variant's input does not have three. Sizes have no dataset; they use (0.5, 0.5).
        trust: Whether a `.keras` file of weights may contain other layers than those of this package, and so run any
            code.
        **overrides: Any other field of `ModelConfig`, e.g. `dropout_rate`, `attention_type`, `include_top`,
            `class_names`, or `name` for the name of the Keras model.

    Returns:
        A functional model from pixels in [0, 255] (any dtype) to logits, or to pooled features if `include_top` is
        False.

    Raises:
        InputError: The variant or an argument is unknown, a value is out of range, or the weights cannot be used.

    Example:
        >>> model = create_model("cct_2_3x2_32", input_shape=(48, 64, 1), num_classes=5)
    """
    arguments = {"input_shape": input_shape, "num_classes": num_classes, "position_embedding": position_embedding}
    fields: dict[str, Any] = {**overrides, **{key: value for key, value in arguments.items() if value is not None}}
    if not isinstance(normalization, str) or normalization != "dataset":
        fields["normalization"] = normalization
    if variant is None:
        return _load_whole_model(weights, fields, trust)
    if weights is None:
        return build_model(variant_config(variant, **fields))
    resolved = resolve_weights(variant, weights)
    # All arguments are checked before the download.
    config = variant_config(variant, **(resolved.model_fields(num_classes) | fields))
    path = resolved.fetch()
    model = build_model(config)
    load_weights_file(model, path, trust=trust)
    return model


def _load_whole_model(weights: str | PathLike | None, fields: dict[str, Any], trust: bool) -> keras.Model:
    if weights is None:
        raise InputError("create_model needs a variant, or weights that contain a whole model. Pass one of them.")
    if fields:
        given = ", ".join(f"{key}={value!r}" for key, value in fields.items())
        raise InputError(f"{given} cannot change the model in {str(weights)!r}. Pass the variant as well.")
    resolved = resolve_weights(None, weights)
    if not resolved.has_architecture:
        raise InputError(f"weights {str(weights)!r} do not contain their architecture. Pass the variant as well.")
    return read_keras_file(resolved.fetch(), trust=trust)


def CCT(*, kernel_size: int = 3, num_conv_layers: int = 1, **fields: Unpack[FamilyFields]) -> keras.Model:
    """Returns a Compact Convolutional Transformer: convolutional tokenizer and sequence pooling.

    Args:
        kernel_size: Height and width of the tokenizer's convolution kernels, in pixels.
        num_conv_layers: Number of convolutions in the tokenizer.
        **fields: Other fields of `ModelConfig`; they default to CCT-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value is out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.3.
    """
    return _create_family("cct", kernel_size=kernel_size, num_conv_layers=num_conv_layers, **fields)


def CVT(*, patch_size: int = 4, **fields: Unpack[FamilyFields]) -> keras.Model:
    """Returns a Compact Vision Transformer: patch tokenizer and sequence pooling.

    Args:
        patch_size: Height and width of a patch, in pixels; must divide the image height and width.
        **fields: Other fields of `ModelConfig`; they default to CVT-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value is out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.2.
    """
    return _create_family("cvt", patch_size=patch_size, **fields)


def ViTLite(*, patch_size: int = 4, **fields: Unpack[FamilyFields]) -> keras.Model:
    """Returns a ViT-Lite: patch tokenizer and class token.

    Args:
        patch_size: Height and width of a patch, in pixels; must divide the image height and width.
        **fields: Other fields of `ModelConfig`; they default to ViT-Lite-7 for 32x32 images.

    Raises:
        InputError: A field is unknown or its value is out of range.

    Reference: Hassani et al. 2021, arXiv:2104.05704, section 3.1.
    """
    return _create_family("vit", patch_size=patch_size, **fields)


def _create_family(default_name: str, **fields: Any) -> keras.Model:
    if "family" in fields:
        raise InputError(f"family={fields['family']!r} cannot be changed. Use CCT, CVT or ViTLite.")
    return build_model(make_config({"name": default_name, "family": default_name, **fields}))


def model_function(name: str) -> Callable[..., keras.Model]:
    """Returns a function that calls `create_model` for one variant or size."""

    def function(**arguments: Any) -> keras.Model:
        return create_model(name, **arguments)

    label = "size" if name in FAMILY_SIZES else "variant"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Creates the {label} {name!r}. Accepts the arguments of `create_model` except `variant`."
    parameters = list(inspect.signature(create_model).parameters.values())[1:]
    signature = inspect.Signature(parameters, return_annotation=keras.Model)
    function.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess] # read by `inspect.signature`
    return function


def __getattr__(name: str) -> Callable[..., keras.Model]:
    if name in FAMILY_SIZES or name in list_models():
        globals()[name] = model_function(name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
