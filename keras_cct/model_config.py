"""The description of a model: everything `build_model` needs, checked, without importing Keras."""

import dataclasses
from collections.abc import Sequence

from keras_cct.errors import InputError

FAMILIES = ("cct", "cvt", "vit")
POSITION_EMBEDDINGS = ("learnable", "sine", "none")
ATTENTION_TYPES = ("softmax", "all", "gm", "spd", "grassmann")
MANIFOLD_TYPES = ("all", "gm", "spd")

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
        num_heads: Attention heads per block; divides `dim`.
        dim: Width of the tokens.
        mlp_ratio: Hidden width of the blocks' MLP over `dim`.
        kernel_size: Side of the tokenizer's kernels in pixels (cct only).
        num_conv_layers: Number of convolutions in the tokenizer (cct only).
        patch_size: Side of a patch in pixels; divides height and width (cvt and vit only).
        position_embedding: "learnable", "sine" or "none".
        attention_type: "softmax"; on manifolds "all" (Euclidean, SPD and Grassmann), "gm" (Euclidean and Grassmann) or
            "spd" (Euclidean and SPD; "riem" is another name for it); or "grassmann", the Grassmann manifold without
            softmax.
        map_normalization: Whether the maps of "all", "gm" or "spd" are normalized together, which ties the model to one
            image size; None is as published: only those of "spd" are not.
        observability: (num_signals, num_blocks) of the `ObservabilityTokens` after the tokenizer, or None for none.
        dropout_rate: Dropout of embeddings, projections and MLP, 0 to below 1.
        attention_dropout_rate: Dropout of the attention weights, 0 to below 1.
        stochastic_depth_rate: Rate of the last block, 0 to below 1; the first block has 0, those between grow linearly.
        normalization: (mean, std) of the pixels in units of 0..1, numbers or one number per channel; None leaves
            the layer out, for inputs that are normalised already.
        include_top: Whether the model ends in logits; without, it ends in the pooled features.
        class_names: Names of the classes in the order of the logits; saved with the model.
        name: Name of the Keras model.

    Raises:
        InputError: A value is out of range or does not fit the others.

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

    def __post_init__(self) -> None:
        _check_choice("family", self.family, FAMILIES)
        _check_choice("position_embedding", self.position_embedding, POSITION_EMBEDDINGS)
        self._check_tokenizer()
        for field in ("num_classes", "num_layers", "num_heads", "dim"):
            _check_positive_int(field, getattr(self, field))
        self._check_input_shape()
        if self.dim % self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} does not divide dim={self.dim}. "
                f"Choose one of {[n for n in range(1, min(self.dim, 64) + 1) if self.dim % n == 0]}."
            )
        if not _is_number(self.mlp_ratio) or int(self.dim * self.mlp_ratio) < 1:
            raise InputError(f"mlp_ratio={self.mlp_ratio!r} leaves the MLP no hidden width. Give a positive number.")
        for field in ("dropout_rate", "attention_dropout_rate", "stochastic_depth_rate"):
            rate = getattr(self, field)
            if not _is_number(rate) or not 0 <= rate < 1:
                raise InputError(f"{field}={rate!r} is not a rate. Give a number from 0 to below 1.")
        self._check_attention()
        self._check_normalization()
        self._check_class_names()

    @property
    def uses_class_token(self) -> bool:
        """Whether the tokens start with a class token, which is then the pooled feature."""
        return self.family == "vit"

    @property
    def normalizes_maps(self) -> bool:
        """Whether the maps of attention on manifolds are normalized together."""
        return self.attention_type != "spd" if self.map_normalization is None else self.map_normalization

    def stochastic_depth_rates(self) -> list[float]:
        """Returns one rate per block, linear from 0 in the first to `stochastic_depth_rate` in the last."""
        steps = max(self.num_layers - 1, 1)
        return [self.stochastic_depth_rate * block / steps for block in range(self.num_layers)]

    def _check_tokenizer(self) -> None:
        wanted, foreign = ("kernel_size", "num_conv_layers"), ("patch_size",)
        if self.family != "cct":
            wanted, foreign = foreign, wanted
        for field in foreign:
            if getattr(self, field) is not None:
                raise InputError(f"{field} means nothing to the {self.family} family. It takes {' and '.join(wanted)}.")
        for field in wanted:
            _check_positive_int(field, getattr(self, field))

    def _check_attention(self) -> None:
        if self.attention_type == "riem":
            object.__setattr__(self, "attention_type", "spd")
        _check_choice("attention_type", self.attention_type, ATTENTION_TYPES)
        if self.map_normalization is not None and self.attention_type not in MANIFOLD_TYPES:
            raise InputError(
                f"map_normalization means nothing to attention_type={self.attention_type!r}. "
                f"It belongs to {', '.join(MANIFOLD_TYPES)}."
            )
        if self.map_normalization not in (None, True, False):
            raise InputError(f"map_normalization={self.map_normalization!r} is unknown. Give True, False or None.")
        if self.observability is None:
            return
        sizes = self.observability
        if not isinstance(sizes, Sequence) or len(sizes) != 2 or not all(_is_positive_int(size) for size in sizes):
            raise InputError(f"observability={sizes!r} is not (num_signals, num_blocks). Give two positive integers.")
        if self.dim % sizes[0] or sizes[1] < 2:
            raise InputError(
                f"observability={sizes!r} does not fit dim={self.dim}. "
                f"num_signals must divide it, and num_blocks be at least 2."
            )
        object.__setattr__(self, "observability", tuple(sizes))

    def _check_input_shape(self) -> None:
        shape = self.input_shape
        if not isinstance(shape, Sequence) or len(shape) != 3 or not all(_is_positive_int(side) for side in shape):
            raise InputError(f"input_shape={shape!r} is not (height, width, channels). Give three positive integers.")
        object.__setattr__(self, "input_shape", tuple(shape))

    def _check_normalization(self) -> None:
        if self.normalization is None:
            return
        if not isinstance(self.normalization, list | tuple) or len(self.normalization) != 2:
            raise InputError(f"normalization={self.normalization!r} is not a pair (mean, std). Give the pair, or None.")
        channels = self.input_shape[-1]
        for name, values in zip(("mean", "std"), self.normalization, strict=True):
            numbers = [values] if _is_number(values) else list(values)
            if len(numbers) not in (1, channels) or not all(_is_number(number) for number in numbers):
                raise InputError(
                    f"normalization {name}={values!r} does not fit {channels} channels. Give 1 or {channels} numbers."
                )
            if name == "std" and min(numbers) <= 0:
                raise InputError(f"normalization std={values!r} has an entry that is not positive.")

    def _check_class_names(self) -> None:
        if self.class_names is None:
            return
        if isinstance(self.class_names, str) or not all(isinstance(name, str) for name in self.class_names):
            raise InputError(f"class_names={self.class_names!r} is not a list of names.")
        if len(self.class_names) != self.num_classes:
            raise InputError(
                f"class_names has {len(self.class_names)} names for num_classes={self.num_classes}. Give one per class."
            )
        object.__setattr__(self, "class_names", tuple(self.class_names))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_positive_int(field: str, value: object) -> None:
    if not _is_positive_int(value):
        raise InputError(f"{field}={value!r} is not allowed. Give a whole number of at least 1.")


def _check_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{field}={value!r} is unknown. Choose one of {', '.join(choices)}.")
