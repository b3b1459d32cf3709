"""The optimizers of the original recipe, as PyTorch computes them."""

import keras
from keras import ops


class _Original:
    """What both optimizers do around their own update.

    Gradients are summed over the devices, averaged over `grad_accum_steps` steps, and clipped; weight decay, the
    update and the moving average follow. Keras itself clips before it sums, and cannot accumulate under a
    `tf.distribute` strategy.
    """

    def __init__(self, learning_rate, *, grad_accum_steps=1, ema_decay=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.grad_accum_steps = grad_accum_steps
        self.ema_decay = ema_decay
        self.learning_rate_factors = {}

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        if self.grad_accum_steps > 1:
            # Every device adds the same sum, so one of them may write it.
            self._sums = [
                self.add_variable(weight.shape, dtype=weight.dtype, aggregation="only_first_replica", name="sum")
                for weight in var_list
            ]
        if self.ema_decay is not None:
            self._averages = [
                self.add_variable_from_reference(weight, "average", initializer=_copy_of(weight)) for weight in var_list
            ]

    @property
    def averages(self):
        """The moving average of each trainable weight, in their order; none where none is kept."""
        return self._averages if self.built and self.ema_decay is not None else []

    def _backend_apply_gradients(self, grads, trainable_variables):
        sum_over_devices = getattr(super(), "_all_reduce_sum_gradients", list)  # TensorFlow's only
        grads = [gradient for gradient, _ in sum_over_devices(list(zip(grads, trainable_variables, strict=True)))]
        if self.grad_accum_steps > 1:
            grads = self._accumulate(grads, trainable_variables)
        self._backend_update_step(self._clip_gradients(grads), trainable_variables, self.learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # summed already

    def _accumulate(self, grads, variables):
        sums = [self._sums[self._get_variable_index(variable)] for variable in variables]
        totals = [total + gradient for total, gradient in zip(sums, grads, strict=True)]
        for total, new in zip(sums, totals, strict=True):
            total.assign(new * (1 - self._is_update(new.dtype)))
        return [total / self.grad_accum_steps for total in totals]

    def _is_update(self, dtype):
        """Returns 1 in the last of the steps that make one update, otherwise 0."""
        if self.grad_accum_steps == 1:
            return 1.0
        return ops.cast(ops.equal((self._iterations + 1) % self.grad_accum_steps, 0), dtype)

    def _num_updates(self, dtype):
        """Returns the number of updates, this one included."""
        return ops.cast(ops.floor_divide(self._iterations, self.grad_accum_steps) + 1, dtype)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight, its slots and its average."""
        dtype, index = variable.dtype, self._get_variable_index(variable)
        rate = ops.cast(learning_rate, dtype) * self.learning_rate_factors.get(index, 1.0)
        is_update = self._is_update(dtype)
        self._update_weight(ops.cast(gradient, dtype), variable, rate, is_update)
        if self.ema_decay is not None:
            average = self._averages[index]
            self.assign_add(average, is_update * (1 - self.ema_decay) * (variable - average))

    def get_config(self):
        return {**super().get_config(), "grad_accum_steps": self.grad_accum_steps, "ema_decay": self.ema_decay}


def _copy_of(weight):
    """Returns an initializer; a copy, because JAX gives the memory of a weight away in a step."""
    return lambda shape, dtype: ops.copy(ops.convert_to_tensor(weight))


@keras.saving.register_keras_serializable("keras_cct")
class AdamW(_Original, keras.optimizers.AdamW):
    """AdamW as PyTorch computes it.

    Keras adds epsilon before it corrects the second moment for its bias, PyTorch after; gradients of the size of
    epsilon, as of biases that hardly matter, move differently in the first steps.

    Takes the arguments of `keras.optimizers.AdamW` (PyTorch's default epsilon is 1e-8) and those below. `amsgrad` is
    not supported. `learning_rate_factors` maps the place of a weight among the trainable ones to a factor on its
    learning rate.

    Args:
        grad_accum_steps: Steps whose gradients are averaged into one update.
        ema_decay: Share of the weights' moving average that stays at an update; None for no average.

    Raises:
        ValueError: `amsgrad` is asked for.

    Reference: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, learning_rate=1e-3, weight_decay=1e-2, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate, weight_decay=weight_decay, epsilon=epsilon, **kwargs)
        if self.amsgrad:
            raise ValueError("amsgrad=True is not supported. Leave it out, or take keras.optimizers.AdamW.")

    def _update_weight(self, gradient, variable, rate, is_update):
        dtype, index = variable.dtype, self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        step = self._num_updates(dtype)
        mean_correction = 1 - ops.power(ops.cast(self.beta_1, dtype), step)
        spread_correction = ops.sqrt(1 - ops.power(ops.cast(self.beta_2, dtype), step))
        # Numbers are multiplied with each other first: each operation on arrays reads all weights once more.
        if self.weight_decay and self._use_weight_decay(variable):
            self.assign_sub(variable, is_update * self.weight_decay * rate * variable)
        self.assign_add(mean, is_update * (1 - self.beta_1) * (gradient - mean))
        self.assign_add(square, is_update * (1 - self.beta_2) * (ops.square(gradient) - square))
        spread = ops.sqrt(square) + self.epsilon * spread_correction
        self.assign_sub(variable, is_update * rate * spread_correction / mean_correction * mean / spread)


@keras.saving.register_keras_serializable("keras_cct")
class SGD(_Original, keras.optimizers.SGD):
    """SGD with Nesterov's momentum as PyTorch computes it, under the name "sgd" of the original.

    The velocity sums gradients, not steps, so that a new learning rate takes effect at once; weight decay is added to
    the gradient.

    Takes the arguments of `keras.optimizers.SGD`, and `grad_accum_steps` and `ema_decay` of `AdamW`.

    Reference: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    def __init__(self, learning_rate=1e-2, momentum=0.9, nesterov=True, weight_decay=0.0, **kwargs):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, **kwargs)

    def _update_weight(self, gradient, variable, rate, is_update):
        if self.weight_decay and self._use_weight_decay(variable):
            gradient = gradient + self.weight_decay * variable
        step = gradient
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign_add(velocity, is_update * ((self.momentum - 1) * velocity + gradient))
            step = gradient + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, is_update * (rate * step))
