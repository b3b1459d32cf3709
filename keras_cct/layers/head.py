"""The last layer: logits with the names of their classes."""

from collections.abc import Sequence

import keras

from keras_cct.layers.initializers import normal


@keras.saving.register_keras_serializable("keras_cct")
class ClassifierHead(keras.layers.Dense):
    """A linear layer that carries the class names, so that a saved model can name what it sees.

    Args:
        num_classes: Number of logits.
        class_names: Names in the order of the logits, or None where they are not known.

    Call arguments:
        features: Float tensor of shape (batch, dim).

    Returns:
        Logits: float tensor of shape (batch, num_classes).
    """

    def __init__(self, num_classes: int, class_names: Sequence[str] | None = None, **kwargs):
        super().__init__(num_classes, kernel_initializer=normal(0.02), **kwargs)
        self.class_names = None if class_names is None else list(class_names)

    def get_config(self):
        config = keras.layers.Layer.get_config(self)
        return {**config, "num_classes": self.units, "class_names": self.class_names}
