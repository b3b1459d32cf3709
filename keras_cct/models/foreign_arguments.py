"""Arguments of the reference implementation and of timm, and what to use here instead."""

from collections.abc import Callable

RENAMED = {
    "attention_dropout": "attention_dropout_rate",
    "attn_drop_rate": "attention_dropout_rate",
    "depth": "num_layers",
    "drop": "dropout_rate",
    "drop_path": "stochastic_depth_rate",
    "drop_path_rate": "stochastic_depth_rate",
    "drop_rate": "dropout_rate",
    "dropout": "dropout_rate",
    "embed_dim": "dim",
    "embedding_dim": "dim",
    "n_conv_layers": "num_conv_layers",
    "positional_embedding": "position_embedding",
    "stochastic_depth": "stochastic_depth_rate",
}
"""Arguments that exist here under another name, with the same values."""


def _input_shape_of_size(size: object) -> str:
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    return f"Use input_shape=({height}, {width}, 3)."


def _weights_of_pretrained(pretrained: object) -> str:
    return (
        'Use weights="imagenet" or another tag of `keras_cct models --pretrained`.'
        if pretrained
        else "Leave it out: the weights are random unless you pass weights=."
    )


_DERIVED = "Leave it out: the tokenizer derives it from kernel_size."

HINTS: dict[str, Callable[[object], str]] = {
    "arch": lambda name: f"Pass the name first: create_model({name!r}).",
    "checkpoint_path": lambda path: f"Use weights={path!r}.",
    "global_pool": lambda _: 'Choose the family instead: "vit" has a class token, "cct" and "cvt" pool the sequence.',
    "img_size": _input_shape_of_size,
    "in_chans": lambda channels: f"Use input_shape=(height, width, {channels}).",
    "n_input_channels": lambda channels: f"Use input_shape=(height, width, {channels}).",
    "padding": lambda _: _DERIVED,
    "pooling_kernel_size": lambda _: "Leave it out: the tokenizer always pools 3x3 windows at stride 2.",
    "pooling_padding": lambda _: "Leave it out: the tokenizer always pools 3x3 windows at stride 2.",
    "pooling_stride": lambda _: "Leave it out: the tokenizer always pools 3x3 windows at stride 2.",
    "pretrained": _weights_of_pretrained,
    "progress": lambda _: "Leave it out: downloads always show their progress.",
    "seq_pool": lambda _: 'Choose the family instead: "cct" and "cvt" pool the sequence, "vit" has a class token.',
    "stride": lambda _: _DERIVED,
}
"""For each other argument, a function from its value to a sentence that says what to do instead."""


def foreign_argument_hint(name: str, value: object) -> str | None:
    """Returns what to use instead of an argument of the reference implementation or timm; None for any other name.

    Args:
        name: Name of the argument.
        value: Value of the argument.

    Example:
        >>> foreign_argument_hint("img_size", 256)
        'Use input_shape=(256, 256, 3).'
    """
    if name in RENAMED:
        return f"Use {RENAMED[name]}={value!r}."
    return HINTS[name](value) if name in HINTS else None
