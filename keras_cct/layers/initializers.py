"""Initial values of the original, which Keras's nearest names do not give."""

import keras


def kaiming_normal() -> keras.initializers.Initializer:
    """Returns Kaiming's normal distribution over the fan-in, not truncated (`HeNormal` is)."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_in", distribution="untruncated_normal")


def normal(stddev: float) -> keras.initializers.Initializer:
    """Returns what the original calls a truncated normal.

    It truncates at -2 and 2, at least ten standard deviations away here, where Keras's `TruncatedNormal` truncates at
    two standard deviations and thereby loses an eighth of the spread.
    """
    return keras.initializers.RandomNormal(stddev=stddev)
