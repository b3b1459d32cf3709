"""The layer names of a model, which feature extraction, weight mapping, freezing and layer-wise decay rely on.

In order, with optional layers in brackets:

images, [normalization], tokenizer, [observability_tokens], [class_token], [position_embedding], dropout,
block_0, block_1, ..., norm, sequence_pool | class_token_pool, [head]
"""

IMAGES = "images"
NORMALIZATION = "normalization"
TOKENIZER = "tokenizer"
OBSERVABILITY_TOKENS = "observability_tokens"
CLASS_TOKEN = "class_token"
POSITION_EMBEDDING = "position_embedding"
DROPOUT = "dropout"
NORM = "norm"
SEQUENCE_POOL = "sequence_pool"
CLASS_TOKEN_POOL = "class_token_pool"
HEAD = "head"

POOLS = (SEQUENCE_POOL, CLASS_TOKEN_POOL)
_BLOCK_PREFIX = "block_"


def block_name(index: int) -> str:
    """Returns the name of an encoder block, counted from 0."""
    return f"{_BLOCK_PREFIX}{index}"


def block_index(layer_name: str) -> int | None:
    """Returns the index of the encoder block with this name, or None for any other layer.

    Example:
        >>> block_index("block_3"), block_index("norm")
        (3, None)
    """
    prefix, _, index = layer_name.rpartition("_")
    return int(index) if f"{prefix}_" == _BLOCK_PREFIX and index.isdecimal() else None
