"""The description of a model: everything `build_model` needs, checked, without importing Keras."""

import dataclasses
from collections.abc import Sequence

from keras_cct.errors import InputError, check_class_names, check_count, check_rate, is_number

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
            the layer out, for inputs that are normalized already.
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
        _check_choice("include_top", self.include_top, (True, False))
        if self.name is not None and (not isinstance(self.name, str) or not self.name or "/" in self.name):
            raise InputError(f"name={self.name!r} is no name of a model. Give a word without a slash.")
        self._check_tokenizer()
        for field in ("num_classes", "num_layers", "num_heads", "dim"):
            self._set(field, check_count(field, getattr(self, field)))
        for field in ("dropout_rate", "attention_dropout_rate", "stochastic_depth_rate"):
            self._set(field, check_rate(field, getattr(self, field)))
        self._check_input_shape()
        if self.dim % self.num_heads:
            raise InputError(
                f"num_heads={self.num_heads} does not divide dim={self.dim}. "
                f"Choose one of {[n for n in range(1, min(self.dim, 64) + 1) if self.dim % n == 0]}."
            )
        if not is_number(self.mlp_ratio) or int(self.dim * self.mlp_ratio) < 1:
            raise InputError(f"mlp_ratio={self.mlp_ratio!r} leaves the MLP no hidden width. Give a positive number.")
        self._check_attention()
        self._check_normalization()
        if self.class_names is not None:
            self._set("class_names", check_class_names(self.class_names, self.num_classes))

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

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
            self._set(field, check_count(field, getattr(self, field)))

    def _check_attention(self) -> None:
        if self.attention_type == "riem":
            self._set("attention_type", "spd")
        _check_choice("attention_type", self.attention_type, ATTENTION_TYPES)
        if self.map_normalization is not None and self.attention_type not in MANIFOLD_TYPES:
            raise InputError(
                f"map_normalization means nothing to attention_type={self.attention_type!r}. "
                f"It belongs to {', '.join(MANIFOLD_TYPES)}."
            )
        _check_choice("map_normalization", self.map_normalization, (None, True, False))
        if self.observability is None:
            return
        try:
            num_signals, num_blocks = (check_count("size", size) for size in self.observability)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"observability={self.observability!r} is not (num_signals, num_blocks). Give two positive integers."
            ) from error
        if self.dim % num_signals or num_blocks < 2:
            raise InputError(
                f"observability={self.observability!r} does not fit dim={self.dim}. "
                f"num_signals must divide it, and num_blocks be at least 2."
            )
        self._set("observability", (num_signals, num_blocks))

    def _check_input_shape(self) -> None:
        try:
            height, width, channels = (check_count("side", side) for side in self.input_shape)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"input_shape={self.input_shape!r} is not (height, width, channels). Give three positive integers."
            ) from error
        self._set("input_shape", (height, width, channels))

    def _check_normalization(self) -> None:
        if self.normalization is None:
            return
        if not isinstance(self.normalization, list | tuple) or len(self.normalization) != 2:
            raise InputError(f"normalization={self.normalization!r} is not a pair (mean, std). Give the pair, or None.")
        channels = self.input_shape[-1]
        pair = []
        for name, values in zip(("mean", "std"), self.normalization, strict=True):
            try:
                numbers = (values,) if is_number(values) else tuple(values)
            except TypeError:
                numbers = ()
            if len(numbers) not in (1, channels) or not all(is_number(number) for number in numbers):
                allowed = "1 number" if channels == 1 else f"1 or {channels} numbers"
                raise InputError(f"normalization {name}={values!r} does not fit {channels} channels. Give {allowed}.")
            if max(numbers) > 1 or min(numbers) < 0 or (name == "std" and min(numbers) == 0):
                raise InputError(
                    f"normalization {name}={values!r} is out of range. Pixels of 0..255 count as 0..1 here."
                )
            pair.append(tuple(float(number) for number in numbers))
        self._set("normalization", tuple(pair))


def _check_choice(field: str, value: object, choices: tuple) -> None:
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise InputError(f"{field}={value!r} is unknown. Choose one of {', '.join(map(str, choices))}.")
