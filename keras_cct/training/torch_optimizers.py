"""AdamW and SGD with PyTorch's update rules, gradient accumulation and weight averaging."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_cct.errors import InputError
from keras_cct.training.devices import is_under_strategy, sum_over_replicas

Tensor = Any  # of the backend: TensorFlow, JAX or PyTorch

EMA_WARMUP_POWER = 2 / 3
"""timm's `warmup_power`: a decay of 0.9998 is reached after 354 thousand updates."""


class _TorchOptimizer(keras.optimizers.Optimizer):
    """Base class of both optimizers: clipping, gradient accumulation, weight averaging, learning-rate factors.

    Clipping and `grad_accum_steps` act on the sum of the gradients over the replicas of a `tf.distribute` strategy,
    as in PyTorch's `DistributedDataParallel`; plain Keras optimizers clip before they sum, and cannot accumulate under
    a strategy. The Keras base class implements the clipping itself, loss scaling, `gradient_accumulation_steps` and
    `use_ema`.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], float],
        *,
        grad_accum_steps: int = 1,
        ema_decay: float | None = None,
        ema_warmup: bool = False,
        learning_rate_factors: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if grad_accum_steps > 1 and self.gradient_accumulation_steps:
            raise InputError(
                f"grad_accum_steps={grad_accum_steps} conflicts with gradient_accumulation_steps="
                f"{self.gradient_accumulation_steps}. Set one of them."
            )
        if ema_decay is not None and self.use_ema:
            raise InputError(f"ema_decay={ema_decay} conflicts with use_ema=True. Set one of them.")
        if ema_warmup and ema_decay is None:
            raise InputError("ema_warmup=True has no effect without ema_decay. Set ema_decay.")
        self.grad_accum_steps = grad_accum_steps
        self.ema_decay = ema_decay
        self.ema_warmup = ema_warmup
        self.learning_rate_factors = None if learning_rate_factors is None else tuple(learning_rate_factors)
        self.averages = []
        self._num_copies = 1

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        self._check_distribution()
        factors = self.learning_rate_factors
        if factors is not None and len(factors) != len(variables):
            raise InputError(
                f"learning_rate_factors has {len(factors)} values for {len(variables)} trainable weights. "
                f"Pass one per weight."
            )
        super().build(variables)
        self._add_slots(variables)
        if self.grad_accum_steps > 1:
            # All replicas add the same gradients, so the sums of the first replica are used.
            self._sums = [
                self.add_variable(
                    weight.shape, dtype=_compute_dtype(weight), aggregation="only_first_replica", name="sum"
                )
                for weight in variables
            ]
        if self.ema_decay is not None:
            self.averages = [
                self.add_variable_from_reference(weight, "average", initializer=_copy_of(weight))
                for weight in variables
            ]

    def _check_distribution(self) -> None:
        for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            value = getattr(self, name)
            if value and is_under_strategy():
                instead = " Use grad_accum_steps." if name == "gradient_accumulation_steps" else " Leave it out."
                raise InputError(f"{name}={value} is not supported under a tf.distribute strategy.{instead}")

    def _add_slots(self, variables: list[keras.Variable]) -> None:
        """Creates the variables of the update rule."""
        raise NotImplementedError

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            self.build(trainable_variables)
        if self.clipnorm or self.clipvalue or self.global_clipnorm or self.grad_accum_steps > 1:
            # Keras sums these equal gradients over the replicas once more, so `update_step` divides by their number.
            grads, self._num_copies = sum_over_replicas(grads)
        if self.grad_accum_steps > 1:
            grads = self._accumulate(grads, trainable_variables)
        super().apply(grads, trainable_variables)

    def _accumulate(self, grads: Sequence[Tensor], variables: list[keras.Variable] | None) -> list[Tensor]:
        """Adds gradients to the sums and returns their mean, which `update_step` uses in the last step only."""
        indices = range(len(grads)) if variables is None else [self._get_variable_index(each) for each in variables]
        means = []
        for index, gradient in zip(indices, grads, strict=True):
            if gradient is None:
                means.append(None)
                continue
            total = self._sums[index] + _cast(gradient, self._sums[index].dtype)
            self._sums[index].assign(total * (1 - self._is_update(total.dtype)))
            means.append(total / self.grad_accum_steps)
        return means

    def _is_update(self, dtype: Any) -> Tensor | float:
        """Returns 1 in the last of `grad_accum_steps` steps, 0 in the others."""
        if self.grad_accum_steps == 1:
            return 1.0
        steps: Tensor = self.iterations
        return _cast(ops.equal((steps + 1) % self.grad_accum_steps, 0), dtype)

    def _num_updates(self, dtype: str) -> Tensor:
        """Returns the number of updates, including this one."""
        steps: Tensor = self.iterations
        return _cast(steps // self.grad_accum_steps + 1, dtype)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one weight, its slots and its average. Computes in at least float32, whatever the weight's dtype."""
        dtype, index = _compute_dtype(variable), self._get_variable_index(variable)
        gradient = _cast(gradient, dtype)
        if self._num_copies > 1:
            gradient = gradient / self._num_copies
        rate = _cast(learning_rate, dtype)
        if self.learning_rate_factors is not None:
            rate = rate * self.learning_rate_factors[index]
        is_update = self._is_update(dtype)
        self._update_weight(gradient, variable, rate, is_update)
        if self.ema_decay is not None:
            average = self.averages[index]
            difference = _cast(variable, dtype) - _cast(average, dtype)
            self.assign_add(average, is_update * (1 - self._average_decay(dtype)) * difference)

    def _average_decay(self, dtype: str) -> Tensor | float:
        """Returns the decay of the averages in this update."""
        if not self.ema_warmup:
            return self.ema_decay
        return ops.minimum(self.ema_decay, 1 - self._num_updates(dtype) ** -EMA_WARMUP_POWER)

    def _update_weight(self, gradient: Tensor, variable: Any, rate: Tensor, is_update: Tensor | float) -> None:
        """Updates one weight and its slots, or leaves them unchanged where `is_update` is 0."""
        raise NotImplementedError

    def _decays(self, variable: Any) -> bool:
        return bool(self.weight_decay) and self._use_weight_decay(variable)

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        """Does nothing: `_update_weight` applies weight decay, with the learning rate of each weight."""

    def get_config(self) -> dict[str, Any]:
        factors = self.learning_rate_factors
        return {
            **super().get_config(),
            "grad_accum_steps": self.grad_accum_steps,
            "ema_decay": self.ema_decay,
            "ema_warmup": self.ema_warmup,
            "learning_rate_factors": None if factors is None else list(factors),
        }


def _compute_dtype(variable: Any) -> str:
    """Returns the dtype for scalars and sums: that of the weight, but at least float32.

    In bfloat16 AdamW's beta_2 of 0.999 would round to 1.
    """
    return keras.backend.result_type(keras.backend.standardize_dtype(variable.dtype), "float32")


def _cast(values: Any, dtype: Any) -> Tensor:
    """Returns `ops.cast`, typed without the None that type checkers infer."""
    return ops.cast(values, dtype)


def _copy_of(weight: keras.Variable) -> Any:
    """Returns an initializer that copies a weight, because JAX donates the memory of a weight to its update."""
    return lambda shape, dtype: ops.copy(ops.convert_to_tensor(weight))


@keras.saving.register_keras_serializable("keras_cct", name="AdamW")
class TorchAdamW(_TorchOptimizer):
    """AdamW with PyTorch's update rule: epsilon is added after the bias correction of the second moment.

    Keras adds it before the correction, so gradients as small as epsilon move their weights differently in the first
    steps.

    Args:
        learning_rate: Learning rate, schedule or function.
        weight_decay: Decoupled weight decay, multiplied by the learning rate.
        beta_1: Decay rate of the first moment, in [0, 1).
        beta_2: Decay rate of the second moment, in [0, 1).
        epsilon: Added to the square root of the second moment.
        amsgrad: Whether to divide by the largest second moment so far.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`, and
            `grad_accum_steps`, the steps whose gradients are averaged into one update (default 1; unlike Keras's
            `gradient_accumulation_steps`, also under `tf.distribute`);
            `ema_decay`, the decay of a moving average of the weights, which starts from their initial values and is
            stored in `averages` (default None, no average);
            `ema_warmup`, whether the decay of update n, counted from 1, is min(`ema_decay`, 1 - n ** (-2/3)), as that
            of timm's `ModelEmaV3` with `use_warmup`, so that the average soon forgets the initial values (default
            False);
            `learning_rate_factors`, a factor on the learning rate for each trainable weight (default None).

    Raises:
        InputError: Two arguments conflict, or are not supported under the current `tf.distribute` strategy.

    Reference: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], float] = 1e-3,
        weight_decay: float | None = 1e-2,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def _add_slots(self, variables: list[keras.Variable]) -> None:
        self.momentums, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        if self.amsgrad:
            self.largest_velocities = self.add_optimizer_variables(variables, "velocity_hat")

    def _update_weight(self, gradient: Tensor, variable: Any, rate: Tensor, is_update: Tensor | float) -> None:
        dtype, index = _compute_dtype(variable), self._get_variable_index(variable)
        mean, square = self.momentums[index], self.velocities[index]
        step = self._num_updates(dtype)
        mean_correction = 1 - _cast(self.beta_1, dtype) ** step
        root_correction: Tensor = ops.sqrt(1 - _cast(self.beta_2, dtype) ** step)
        # Scalars are multiplied with each other first: each operation on arrays reads all weights once more.
        if self._decays(variable):
            self.assign_sub(variable, is_update * self.weight_decay * rate * _cast(variable, dtype))
        self.assign_add(mean, is_update * (1 - self.beta_1) * (gradient - _cast(mean, dtype)))
        self.assign_add(square, is_update * (1 - self.beta_2) * (ops.square(gradient) - _cast(square, dtype)))
        if self.amsgrad:
            largest = self.largest_velocities[index]
            self.assign(largest, ops.maximum(largest, square))
            square = largest
        root = ops.sqrt(_cast(square, dtype)) + self.epsilon * root_correction
        self.assign_sub(variable, is_update * rate * root_correction / mean_correction * _cast(mean, dtype) / root)

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("keras_cct", name="SGD")
class TorchSGD(_TorchOptimizer):
    """SGD with PyTorch's momentum rule; with `nesterov=True`, the default, it is timm's "sgd".

    The velocity accumulates gradients, not steps, so that a new learning rate takes effect at once. Weight decay is
    added to the gradient (L2 regularization).

    Args:
        learning_rate: Learning rate, schedule or function.
        momentum: Decay rate of the velocity, in [0, 1]; 0 disables momentum.
        nesterov: Whether to use Nesterov's momentum.
        weight_decay: L2 coefficient: `weight_decay * weight` is added to the gradient.
        **kwargs: As for `keras_cct.AdamW`.

    Raises:
        InputError: Momentum is out of range, or two arguments conflict or are not supported under the current
            `tf.distribute` strategy.

    Reference: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], float] = 1e-2,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        if not 0 <= momentum <= 1:
            raise InputError(f"momentum must be in [0, 1], got {momentum!r}.")
        self.momentum = momentum
        self.nesterov = nesterov

    def _add_slots(self, variables: list[keras.Variable]) -> None:
        self.velocities = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def _update_weight(self, gradient: Tensor, variable: Any, rate: Tensor, is_update: Tensor | float) -> None:
        if self._decays(variable):
            gradient = gradient + self.weight_decay * _cast(variable, gradient.dtype)
        step = gradient
        if self.momentum:
            velocity = self.velocities[self._get_variable_index(variable)]
            change = (self.momentum - 1) * _cast(velocity, gradient.dtype) + gradient
            self.assign_add(velocity, is_update * change)
            velocity = _cast(velocity, gradient.dtype)
            step = gradient + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, is_update * (rate * step))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


AdamW, SGD = TorchAdamW, TorchSGD
"""The public names, `keras_cct.AdamW` and `keras_cct.SGD`."""
