"""The optimizer of the original recipe."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cct")
class AdamW(keras.optimizers.AdamW):
    """AdamW as PyTorch computes it.

    Keras adds epsilon before it corrects the second moment for its bias, PyTorch after; gradients of the size of
    epsilon, as of biases that hardly matter, move differently in the first steps.

    Takes the arguments of `keras.optimizers.AdamW`; PyTorch's default epsilon is 1e-8. `amsgrad` is not supported.

    Raises:
        ValueError: `amsgrad` is asked for.

    Reference: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(self, learning_rate=1e-3, weight_decay=1e-2, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate, weight_decay=weight_decay, epsilon=epsilon, **kwargs)
        if self.amsgrad:
            raise ValueError("amsgrad=True is not supported. Leave it out, or take keras.optimizers.AdamW.")

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        learning_rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        index = self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        step = ops.cast(self.iterations + 1, dtype)
        mean_correction = 1 - ops.power(ops.cast(self.beta_1, dtype), step)
        square_correction = 1 - ops.power(ops.cast(self.beta_2, dtype), step)
        spread = ops.sqrt(square / square_correction) + self.epsilon
        self.assign_sub(variable, learning_rate / mean_correction * mean / spread)
