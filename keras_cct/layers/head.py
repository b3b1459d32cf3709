"""The last layer: logits with the names of their classes."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_cct.checks import check_class_names, check_count
from keras_cct.layers.initializers import normal


@keras.saving.register_keras_serializable("keras_cct")
class ClassifierHead(keras.layers.Layer):
    """A linear layer that carries the class names, so that a saved model can name what it sees.

    Args:
        num_classes: Number of logits.
        class_names: Names in the order of the logits, or None where they are not known.

    Call arguments:
        features: Float tensor of shape (batch, dim).

    Returns:
        Logits: float tensor of shape (batch, num_classes).

    Raises:
        InputError: There is not one name per class.
    """

    def __init__(self, num_classes: int, class_names: Sequence[str] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = check_count("num_classes", num_classes)
        self.class_names = None if class_names is None else check_class_names(class_names, num_classes)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.num_classes), initializer=normal(0.02), name="kernel"
        )
        self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def call(self, features):
        return ops.matmul(features, self.kernel) + self.bias  # (batch, classes)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "class_names": self.class_names}
