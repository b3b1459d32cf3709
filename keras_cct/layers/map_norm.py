"""Layer normalization over all entries of all maps of a sample."""

import keras

from keras_cct.errors import InputError


def map_norm(num_maps: int, num_tokens: int, dtype: keras.DTypePolicy) -> keras.layers.LayerNormalization:
    """Returns a built layer normalization over all entries of all maps of a sample.

    Args:
        num_maps: Number of maps.
        num_tokens: Rows and columns of a map.
        dtype: Precision.
    """
    norm = keras.layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-5, dtype=dtype, name="map_norm")
    norm.build((None, num_maps, num_tokens, num_tokens))
    return norm


def check_num_tokens(norm: keras.layers.LayerNormalization, num_tokens: int) -> None:
    """Refuses another number of tokens than the normalization of the maps was built for.

    Raises:
        InputError: The number is another.
    """
    built_for = norm.gamma.shape[-1]
    if num_tokens != built_for:
        raise InputError(
            f"{num_tokens} tokens do not fit an attention whose map normalization was built for {built_for}. "
            f"Such a model is tied to one image size: make another for this one."
        )
