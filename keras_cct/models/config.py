"""The configuration of a model, validated without importing Keras."""

import dataclasses
from collections.abc import Sequence

from keras_cct.errors import (
    InputError,
    check_choice,
    check_class_names,
    check_count,
    check_normalization,
    check_positive,
    check_rate,
)
from keras_cct.facts.attention import ATTENTION_TYPES, MANIFOLDS_OF_TYPE, standard_attention_type

FAMILIES = ("cct", "cvt", "vit")
POSITION_EMBEDDINGS = ("learnable", "sine", "none")
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64")

MOST = {"num_classes": 1_000_000, "num_layers": 256, "num_heads": 1024, "dim": 65_536}
"""Largest counts; the published models have at most 14 blocks, 12 heads and dimension 768."""
MAX_BLOCK_WEIGHTS = 2**29
"""Largest number of weights of all blocks, as many as 600 of the published CCT-2; the memory is 2 GiB in float32."""
MAX_IMAGE_SIZE = 16_384

Normalization = tuple[float | Sequence[float], float | Sequence[float]]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Architecture of one compact transformer.

    Args:
        family: "cct" (convolutional tokenizer, sequence pooling), "cvt" (patches, sequence pooling) or
            "vit" (patches, class token).
        input_shape: (height, width, channels) of the images.
        num_classes: Number of logits.
        num_layers: Number of encoder blocks.
        num_heads: Attention heads per block; must divide `dim`.
        dim: Embedding dimension of the tokens.
        mlp_ratio: Hidden dimension of the MLP divided by `dim`, above 0.
        kernel_size: Height and width of the convolution kernels, in pixels (cct only).
        num_conv_layers: Number of convolutions in the tokenizer (cct only).
        patch_size: Height and width of a patch, in pixels; must divide the image height and width (cvt and vit only).
        position_embedding: "learnable", "sine" or "none".
        attention_type: "softmax"; "all" (Euclidean, SPD and Grassmann manifolds), "gm" (Euclidean and Grassmann) or
            "spd" (Euclidean and SPD; synonym "riem"); or "grassmann" (Grassmann manifold, without a softmax).
        map_normalization: Whether to normalize the similarity maps of "all", "gm" or "spd", which ties the weights to
            one image size. None selects the published setting: True for "all" and "gm", False for "spd".
        observability: (num_signals, num_blocks) of an `ObservabilityTokens` layer after the tokenizer; None omits the
            layer.
        dropout_rate: Dropout rate of embeddings, projections and MLP, in [0, 1).
        attention_dropout_rate: Dropout rate of the attention weights, in [0, 1).
        stochastic_depth_rate: Stochastic depth rate of the last block, in [0, 1). The rates grow linearly from 0 in the
            first block.
        normalization: (mean, std) for pixels scaled to [0, 1], each a number or a list with one number per channel;
            None omits the layer, for images that are already normalized.
        include_top: Whether the model ends in logits. If False, it ends in the pooled features.
        class_names: Names of the classes in the order of the logits; saved with the model.
        name: Name of the Keras model.
        dtype: Name of a Keras dtype policy, e.g. "mixed_bfloat16"; None uses the global policy. Pixels and logits keep
            the dtype of the weights.

    Raises:
        InputError: A value is out of range or conflicts with another.

    Reference: Hassani et al. 2021, arXiv:2104.05704.
    """

    family: str
    input_shape: tuple[int, int, int] = (32, 32, 3)
    num_classes: int = 10
    num_layers: int = 7
    num_heads: int = 4
    dim: int = 256
    mlp_ratio: float = 2.0
    kernel_size: int | None = None
    num_conv_layers: int | None = None
    patch_size: int | None = None
    position_embedding: str = "learnable"
    attention_type: str = "softmax"
    map_normalization: bool | None = None
    observability: tuple[int, int] | None = None
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.1
    stochastic_depth_rate: float = 0.1
    normalization: Normalization | None = (0.5, 0.5)
    include_top: bool = True
    class_names: tuple[str, ...] | None = None
    name: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        check_choice("family", self.family, FAMILIES)
        check_choice("position_embedding", self.position_embedding, POSITION_EMBEDDINGS)
        check_choice("include_top", self.include_top, (True, False))
        check_choice("dtype", self.dtype, (None, *DTYPES))
        if self.name is not None and (not isinstance(self.name, str) or not self.name or "/" in self.name):
            raise InputError(f"name={self.name!r} is not a valid model name. Use a non-empty string without slashes.")
        self._check_tokenizer()
        for field, at_most in MOST.items():
            self._set(field, check_count(field, getattr(self, field), at_most))
        for field in ("dropout_rate", "attention_dropout_rate", "stochastic_depth_rate"):
            self._set(field, check_rate(field, getattr(self, field)))
        self._check_input_shape()
        if self.dim % self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} does not divide dim={self.dim}. "
                f"Choose one of {[n for n in range(1, min(self.dim, 64) + 1) if self.dim % n == 0]}."
            )
        self._set("mlp_ratio", check_positive("mlp_ratio", self.mlp_ratio))
        self._check_size()
        self._check_attention()
        self._check_observability()
        self._check_normalization()
        if self.class_names is not None:
            self._set("class_names", check_class_names(self.class_names, self.num_classes))

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    @property
    def uses_class_token(self) -> bool:
        """Whether the first token is a class token, which holds the pooled features."""
        return self.family == "vit"

    @property
    def normalizes_maps(self) -> bool:
        """Whether manifold attention normalizes its similarity maps."""
        return self.attention_type != "spd" if self.map_normalization is None else self.map_normalization

    def stochastic_depth_rates(self) -> list[float]:
        """Returns one rate per block, growing linearly from 0 to `stochastic_depth_rate`."""
        steps = max(self.num_layers - 1, 1)
        return [self.stochastic_depth_rate * block / steps for block in range(self.num_layers)]

    def _check_size(self) -> None:
        """Checks the number of weights of the blocks, which a mistyped dimension makes too large for any memory."""
        if self.dim * self.mlp_ratio < 1:
            raise InputError(f"mlp_ratio={self.mlp_ratio} leaves no hidden units for dim={self.dim}. Increase it.")
        num_weights = self.num_layers * self.dim**2 * (4 + 2 * self.mlp_ratio)
        if num_weights > MAX_BLOCK_WEIGHTS:
            raise InputError(
                f"num_layers={self.num_layers}, dim={self.dim} and mlp_ratio={self.mlp_ratio} give {num_weights:,.3g} "
                f"weights, more than {MAX_BLOCK_WEIGHTS:.3g}. Reduce them."
            )

    def _check_tokenizer(self) -> None:
        required, unsupported = ("kernel_size", "num_conv_layers"), ("patch_size",)
        if self.family != "cct":
            required, unsupported = unsupported, required
        for field in unsupported:
            value = getattr(self, field)
            if value is not None:
                raise InputError(
                    f"{field}={value!r} is not supported by the {self.family} family. Use {' and '.join(required)}."
                )
        for field in required:
            self._set(field, check_count(field, getattr(self, field)))

    def _check_attention(self) -> None:
        self._set("attention_type", standard_attention_type(self.attention_type))
        check_choice("attention_type", self.attention_type, ATTENTION_TYPES)
        if self.map_normalization is not None and self.attention_type not in MANIFOLDS_OF_TYPE:
            raise InputError(
                f"map_normalization has no effect with attention_type={self.attention_type!r}. "
                f"Use it with {', '.join(MANIFOLDS_OF_TYPE)}."
            )
        check_choice("map_normalization", self.map_normalization, (None, True, False))

    def _check_observability(self) -> None:
        if self.observability is None:
            return
        try:
            num_signals, num_blocks = (check_count("size", size) for size in self.observability)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"observability={self.observability!r} is not (num_signals, num_blocks). Pass two positive integers."
            ) from error
        if self.dim % num_signals or num_blocks < 2:
            raise InputError(
                f"observability={self.observability!r} is not possible with dim={self.dim}. "
                f"num_signals must divide dim, and num_blocks must be at least 2."
            )
        self._set("observability", (num_signals, num_blocks))

    def _check_input_shape(self) -> None:
        try:
            height, width, channels = (check_count("size", size, MAX_IMAGE_SIZE) for size in self.input_shape)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"input_shape={self.input_shape!r} is not (height, width, channels). Pass three positive integers of "
                f"at most {MAX_IMAGE_SIZE:,}."
            ) from error
        self._set("input_shape", (height, width, channels))

    def _check_normalization(self) -> None:
        if self.normalization is None:
            return
        if not isinstance(self.normalization, list | tuple) or len(self.normalization) != 2:
            raise InputError(f"normalization={self.normalization!r} is not a pair (mean, std). Pass a pair or None.")
        normalization = check_normalization(*self.normalization)
        channels = self.input_shape[-1]
        if any(len(values) not in (1, channels) for values in normalization):
            allowed = "1 number" if channels == 1 else f"1 or {channels} numbers"
            raise InputError(
                f"normalization={self.normalization!r} does not match {channels} channel{'s' * (channels > 1)}. "
                f"Pass {allowed}."
            )
        self._set("normalization", normalization)
