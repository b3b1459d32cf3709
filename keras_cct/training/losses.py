"""Training losses other than cross-entropy, and the model that trains with them."""

import dataclasses
from typing import Any

import keras
from keras import ops

Tensor = Any  # of the backend: TensorFlow, JAX or PyTorch


class BinaryCrossEntropy(keras.losses.Loss):
    """Binary cross-entropy of each class, averaged over all classes and images.

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


class DistillationLoss(keras.losses.Loss):
    """Loss of the logits of a student with those of its teacher, as in DeiT.

    Args:
        distillation_type: "soft", the Kullback-Leibler divergence of the student's probabilities from the teacher's,
            both at temperature tau, times tau ** 2; or "hard", the cross-entropy with the teacher's top class.
        tau: The temperature, above 0; not used by "hard".

    Call arguments:
        y_true: Logits of the teacher, of shape (batch, classes).
        y_pred: Logits of the student, of shape (batch, classes).

    Reference: Touvron et al. 2021, arXiv:2012.12877, equations 2 and 3. The divergence is summed over the classes, as
    there and in timm; DeiT's code divides it by their number as well.
    """

    def __init__(self, distillation_type: str, tau: float = 1.0) -> None:
        super().__init__("distillation")
        self.is_hard = distillation_type == "hard"
        self.tau = tau

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.is_hard:
            classes = ops.argmax(y_true, axis=-1)
            return keras.losses.sparse_categorical_crossentropy(classes, y_pred, from_logits=True)  # (batch,)
        teacher: Tensor = ops.log_softmax(y_true / self.tau, axis=-1)
        student: Tensor = ops.log_softmax(y_pred / self.tau, axis=-1)
        divergences: Tensor = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
        return self.tau**2 * divergences  # (batch,)


@dataclasses.dataclass(frozen=True, eq=False)
class Distillation:
    """A teacher and the weight of its loss.

    Args:
        teacher: The model, not trainable.
        loss: The loss of the student's logits with those of the teacher.
        alpha: Weight of that loss in [0, 1]; the loss with the targets has the weight 1 - alpha.
    """

    teacher: keras.Model
    loss: DistillationLoss
    alpha: float

    def mix(self, target_loss: Tensor, images: Tensor, logits: Tensor) -> Tensor:
        """Returns (1 - alpha) * loss with the targets + alpha * loss with the teacher.

        Args:
            target_loss: The loss with the targets, a scalar.
            images: The augmented images that the student has seen.
            logits: Logits of the student.
        """
        teacher_logits = ops.stop_gradient(self.teacher(images, training=False))
        teacher_loss: Tensor = self.loss(teacher_logits, logits)
        return (1 - self.alpha) * target_loss + self.alpha * teacher_loss


class TrainedClassifier(keras.Model):
    """A model that minimizes one loss and is evaluated by another, the loss of `compile`.

    The teacher is not part of the model: it is neither saved nor counted nor trained with it. The weights of images, if
    there are any, apply to the loss with the targets only.

    Args:
        model: A functional classifier, whose layers and weights it shares.
        training_loss: The loss with the targets in training steps.
        distillation: The teacher; None for training without one.
    """

    def __init__(
        self, model: keras.Model, training_loss: keras.losses.Loss, distillation: Distillation | None = None
    ) -> None:
        super().__init__(model.input, model.output, name=model.name)
        self.training_loss = training_loss
        self.distillation = distillation  # Keras does not look for models and variables in a dataclass.

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
        loss = self.training_loss(y, y_pred, sample_weight)
        return loss if self.distillation is None else self.distillation.mix(loss, x, y_pred)
