"""Training losses other than cross-entropy, and the model that trains with them."""

from typing import Any

import keras
from keras import ops

Tensor = Any  # of the backend: TensorFlow, JAX or PyTorch


class BinaryCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of each class on its own, averaged over all classes and images.

    Targets are soft: those of label smoothing, Mixup and CutMix. As in timm, they are used as they are, or as 0 and 1
    with a threshold. With ten classes the loss is several times smaller than the cross-entropy, so it usually needs a
    higher learning rate.

    Args:
        target_threshold: Targets above it become 1, others 0; 0 keeps the soft targets.

    Call arguments:
        y_true: Targets in [0, 1] of shape (batch, classes).
        y_pred: Logits of shape (batch, classes).

    Reference: timm, `loss/binary_cross_entropy.py` (`--bce-loss`, `--bce-target-thresh`); Wightman et al. 2021,
    arXiv:2110.00476.
    """

    def __init__(self, target_threshold: float = 0.0) -> None:
        super().__init__("binary_cross_entropy")
        self.target_threshold = target_threshold

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.target_threshold:
            y_true = ops.cast(ops.greater(y_true, self.target_threshold), y_pred.dtype)
        return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)  # (batch,)


class TrainedClassifier(keras.Model):
    """A model that minimizes one loss and is evaluated by another, the loss of `compile`.

    Args:
        model: A functional classifier, whose layers and weights it shares.
        training_loss: The loss of its training steps.
    """

    def __init__(self, model: keras.Model, training_loss: keras.losses.Loss) -> None:
        super().__init__(model.input, model.output, name=model.name)
        self.training_loss = training_loss

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.training_loss(y, y_pred, sample_weight)
