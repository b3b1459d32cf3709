"""The attention types and the manifolds on which each compares queries and keys.

* "softmax": scaled dot products.
* "all", "gm", "spd": one map per manifold (Euclidean inner products, covariance matrices, subspaces), combined by
  learned weights and followed by a softmax.
* "grassmann": subspaces alone, without a softmax.
"""

MANIFOLDS = ("euclidean", "spd", "grassmann")

MANIFOLDS_OF_TYPE = {
    "all": ("euclidean", "spd", "grassmann"),
    "gm": ("euclidean", "grassmann"),
    "spd": ("euclidean", "spd"),
}
"""The types that combine one map per manifold and apply a softmax (`ManifoldAttention`), with their manifolds."""

ATTENTION_TYPES = ("softmax", *MANIFOLDS_OF_TYPE, "grassmann")
"""Every type. "grassmann" compares subspaces without a softmax (`GrassmannAttention`)."""

SYNONYMS = {"riem": "spd"}
"""Names of attention types in the manifold paper's code, each with the name used here."""


def standard_attention_type(name: str) -> str:
    """Returns the name used here for an attention type; unknown names are returned unchanged.

    Example:
        >>> standard_attention_type("riem")
        'spd'
    """
    return SYNONYMS.get(name, name) if isinstance(name, str) else name
