"""Position embeddings for images of another size."""

import numpy as np


def resize_position_embedding(
    embedding: np.ndarray, grid: tuple[int, int], new_grid: tuple[int, int], has_class_token: bool
) -> np.ndarray:
    """Resizes a position embedding bilinearly on the grid of its tokens.

    Half-pixel centres, no antialiasing, as `torch.nn.functional.interpolate(mode="bilinear")` computes it. The class
    token's row is kept as it is.

    Args:
        embedding: Float array of shape (1, tokens, dim).
        grid: (rows, columns) of its tokens, the class token not counted.
        new_grid: (rows, columns) wanted.
        has_class_token: Whether the first token is a class token.

    Returns:
        Float32 array of shape (1, new tokens, dim).
    """
    class_row, positions = np.split(embedding, [int(has_class_token)], axis=1)
    dim = embedding.shape[-1]
    by_row, by_column = (_bilinear_weights(old, new) for old, new in zip(grid, new_grid, strict=True))
    positions = positions.astype("float64").reshape(*grid, dim)  # (rows, columns, dim)
    positions = np.einsum("rh,cw,hwd->rcd", by_row, by_column, positions)  # (new rows, new columns, dim)
    return np.concatenate([class_row, positions.reshape(1, -1, dim)], axis=1).astype("float32")


def _bilinear_weights(size: int, new_size: int) -> np.ndarray:
    """Returns the (new_size, size) matrix that resizes along one axis."""
    centres = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    before = np.floor(centres).astype(int)
    after = np.minimum(before + 1, size - 1)
    weights = np.zeros((new_size, size))
    rows = np.arange(new_size)
    np.add.at(weights, (rows, before), 1 - (centres - before))
    np.add.at(weights, (rows, after), centres - before)
    return weights
