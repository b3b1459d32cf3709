"""The attention types and the manifolds on which each compares queries and keys.

* "softmax": scaled dot products.
* "all", "gm", "spd": one map per manifold (Euclidean inner products, covariance matrices, subspaces), combined by
  learned weights, then a softmax.
* "grassmann": subspaces alone, without a softmax.
"""

MANIFOLDS = ("euclidean", "spd", "grassmann")

MANIFOLDS_OF_TYPE = {
    "all": ("euclidean", "spd", "grassmann"),
    "gm": ("euclidean", "grassmann"),
    "spd": ("euclidean", "spd"),
}
"""The types whose scores combine one map per manifold and pass a softmax (`ManifoldAttention`)."""

ATTENTION_TYPES = ("softmax", *MANIFOLDS_OF_TYPE, "grassmann")
"""Every type. "grassmann" compares subspaces without a softmax (`GrassmannAttention`)."""

SYNONYMS = {"riem": "spd"}
"""Names that the manifold paper's code uses for a type."""


def standard_attention_type(name: str) -> str:
    """Returns the name used here for an attention type; unknown names are returned unchanged.

    Example:
        >>> standard_attention_type("riem")
        'spd'
    """
    return SYNONYMS.get(name, name) if isinstance(name, str) else name
