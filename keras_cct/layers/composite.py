"""Base class of layers that create sub-layers in `build`: their dtype policies, quantization and random seeds."""

import numbers
import reprlib
from collections.abc import Mapping
from typing import Self

import keras

from keras_cct.errors import InputError
from keras_cct.layers.initializers import normal

MAX_SEED = 2**31 - 16
"""Seeds are 32-bit integers, and the sub-layers of a layer use the next ones."""


class CompositeLayer(keras.layers.Layer):
    """A layer that creates sub-layers in `build`.

    `keras.Model.quantize` quantizes the `Dense` layers inside a model one by one. Keras does not save this for
    sub-layers, so a composite layer stores their quantization in its own config, keyed by sub-layer name.
    """

    quantized_sublayers: Mapping[str, dict] = {}

    def make_dense(self, units: int, name: str, use_bias: bool = True) -> keras.layers.Dense:
        """Returns a `Dense` sub-layer that is quantized if it was when this layer was saved.

        Args:
            units: Number of outputs.
            name: Name of the sub-layer, different from those of all other `Dense` layers inside this layer.
            use_bias: Whether it has a bias.
        """
        quantization = self.quantized_sublayers.get(name, {})
        return keras.layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=normal(0.02),  # pyright: ignore[reportArgumentType] - inferred from a string default
            dtype=quantization.get("dtype", self.dtype_policy),
            quantization_config=keras.saving.deserialize_keras_object(quantization.get("quantization_config")),
            name=name,
        )

    def get_config(self) -> dict:
        config = super().get_config()
        quantized = {
            layer.name: {
                "dtype": layer.dtype_policy.name,
                "quantization_config": keras.saving.serialize_keras_object(layer.quantization_config),
            }
            for layer in self._flatten_layers(include_self=False)
            if layer.quantization_mode is not None
        }
        return {**config, "quantized_sublayers": quantized} if quantized else config

    @classmethod
    def from_config(cls, config: dict) -> Self:
        config = dict(config)
        quantized = config.pop("quantized_sublayers", {})
        layer = super().from_config(config)
        layer.quantized_sublayers = quantized
        return layer


def check_seed(seed: object) -> int | None:
    """Validates a seed and returns it as an `int` or None.

    Raises:
        InputError: It is neither None nor an integer from 0 to `MAX_SEED`.
    """
    if seed is None:
        return None
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or not 0 <= int(seed) <= MAX_SEED:
        raise InputError(f"seed must be None or an integer in [0, {MAX_SEED}], got {reprlib.repr(seed)}.")
    return int(seed)


def sublayer_seed(seed: int | None, index: int) -> int | None:
    """Returns a different seed for each random sub-layer of a layer, or None if the layer has no seed.

    Args:
        seed: Seed of the layer.
        index: Index of the random sub-layer in the layer.
    """
    return None if seed is None else seed + index
