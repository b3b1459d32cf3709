import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

from keras_cct import EncoderBlock

RATES = {"dropout_rate": 0.3, "attention_dropout_rate": 0.2, "stochastic_depth_rate": 0.4}
TOKENS = np.random.default_rng(0).standard_normal((4, 9, 8)).astype("float32")


def create_block(checkpoints: bool, **arguments) -> EncoderBlock:
    keras.utils.set_random_seed(0)
    block = EncoderBlock(2, **(RATES | arguments))
    block.build(TOKENS.shape)
    for index, weight in enumerate(block.trainable_weights):
        weight.assign(np.random.default_rng(index).standard_normal(weight.shape))
    block.checkpoints_activations = checkpoints
    return block


def loss_and_gradients(block: EncoderBlock, compiles: bool) -> list[np.ndarray]:
    """Returns the loss, the gradients of the tokens and of all weights, and the states of the seed generators."""

    def loss(tokens):
        return keras.ops.sum(keras.ops.square(keras.ops.cast(block(tokens, training=True), "float32")))

    if keras.backend.backend() == "tensorflow":
        return of_tensorflow(block, loss, compiles)
    return (of_jax if keras.backend.backend() == "jax" else of_torch)(block, loss)


def of_tensorflow(block, loss, compiles):
    import tensorflow as tf

    tokens, weights = tf.Variable(TOKENS), [weight.value for weight in block.trainable_weights]

    def step():
        with tf.GradientTape() as tape:
            value = loss(tokens.value())
        return [value, *tape.gradient(value, [tokens, *weights])]

    results = (tf.function(step) if compiles else step)()
    return [to_numpy(result) for result in [*results, *block.non_trainable_variables]]


def of_jax(block, loss):
    import jax

    variables = (block.trainable_variables, block.non_trainable_variables)

    def compute(tokens, *values):
        pairs = [zip(group, array, strict=True) for group, array in zip(variables, values, strict=True)]
        with keras.StatelessScope([*pairs[0], *pairs[1]]) as scope:
            value = loss(tokens)
        return value, [scope.get_current_value(state) for state in block.non_trainable_variables]

    step = jax.value_and_grad(compute, argnums=(0, 1), has_aux=True)
    values = [[variable.value for variable in group] for group in variables]
    (value, states), (of_tokens, of_weights) = jax.jit(step)(TOKENS, *values)
    return [np.asarray(result) for result in [value, of_tokens, *of_weights, *states]]


def of_torch(block, loss):
    import torch

    tokens = torch.tensor(TOKENS, requires_grad=True)
    torch.manual_seed(1)
    value = loss(tokens)
    torch.rand(3)  # The backward pass must not depend on the generator at that time.
    value.backward()
    gradients = [tokens.grad, *(weight.value.grad for weight in block.trainable_weights)]
    return [to_numpy(result) for result in [value, *gradients, *block.non_trainable_variables]]


@pytest.mark.parametrize(
    ("arguments", "compiles"),
    [
        ({}, True),
        ({"seed": 5}, False),
        pytest.param({"attention_type": "all", "seed": 5}, True, marks=pytest.mark.one_backend),
        pytest.param({"attention_type": "grassmann"}, True, marks=pytest.mark.one_backend),
        pytest.param({"dtype": "mixed_bfloat16"}, True, marks=pytest.mark.one_backend),
    ],
)
def test_gradients_with_dropout_are_those_without_recomputation(arguments, compiles):
    kept, recomputed = (
        loss_and_gradients(create_block(checkpoints, **arguments), compiles) for checkpoints in (False, True)
    )
    # Compilers may fuse the same operations in another way. Another mask changes most values.
    largest = max(np.abs(gradient).max() for gradient in kept[1 : 2 + len(create_block(False).trainable_weights)])
    for ours, expected in zip(recomputed, kept, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6 * largest)


def test_consecutive_steps_draw_other_masks():
    block = create_block(True)
    first, second = (to_numpy(block(TOKENS, training=True)) for _ in range(2))
    assert (first != second).any()


def test_recomputation_changes_neither_inference_nor_the_saved_layer():
    block, plain = (create_block(checkpoints) for checkpoints in (True, False))
    assert block.get_config() | {"name": ""} == plain.get_config() | {"name": ""}
    np.testing.assert_array_equal(to_numpy(block(TOKENS)), to_numpy(plain(TOKENS)))
    weights = block(TOKENS, training=True, return_attention_weights=True)[1]
    np.testing.assert_allclose(to_numpy(weights).sum(-1), np.ones((4, 2, 9)), atol=1e-6)
