"""Similarities of queries and keys on several manifolds."""

from keras import ops

from keras_cct.layers.factorizations import in_full_precision, orthonormal_basis


def euclidean_scores(query, key):
    """Returns the inner products of queries and keys.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.matmul(query, _transpose(key))  # (..., tokens, tokens)


def spd_scores(query, key):
    """Returns the magnitudes of the product of the tokens' two covariance matrices, points of the SPD manifold.

    A constant added to a token changes nothing. The product is taken through the small (head_dim, head_dim) matrix in
    the middle; the covariance matrices themselves are never made.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    query = query - ops.mean(query, axis=-1, keepdims=True)
    key = key - ops.mean(key, axis=-1, keepdims=True)
    middle = ops.matmul(_transpose(query), key) * (query.shape[-1] - 1) ** -2  # (..., head_dim, head_dim)
    return ops.abs(ops.matmul(ops.matmul(query, middle), _transpose(key)))  # (..., tokens, tokens)


def grassmann_scores(query, key):
    """Returns the squared inner products of the rows of two orthonormal bases, points of the Grassmann manifold.

    Args:
        query: Float tensor of shape (..., tokens, head_dim).
        key: Float tensor of the same shape.

    Returns:
        Float tensor of shape (..., tokens, tokens), one row per query.
    """
    return ops.square(ops.matmul(token_basis(query), _transpose(token_basis(key))))  # (..., tokens, tokens)


def token_basis(x):
    """Returns the orthonormal basis of what the columns of the tokens span, computed in full precision.

    Args:
        x: Float tensor of shape (..., tokens, head_dim).

    Returns:
        Float tensor of shape (..., tokens, min(tokens, head_dim)).
    """
    rank = min(x.shape[-2:])
    return ops.cast(orthonormal_basis(in_full_precision(x[..., :rank])), x.dtype)


def _transpose(x):
    return ops.swapaxes(x, -1, -2)
