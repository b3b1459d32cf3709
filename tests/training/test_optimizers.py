import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.small_run import small_recipe

import keras_cct
from keras_cct.training.optimizers import KERAS_OPTIMIZERS, create_optimizer
from keras_cct.training.torch_optimizers import TorchAdamW, TorchSGD


def small_model() -> keras.Model:
    return keras_cct.create_model("cct_2_3x2_32", num_layers=2, dim=16, num_heads=2)


def test_recipe_keys_become_settings_of_the_optimizer():
    keys = {"opt_eps": 1e-6, "opt_betas": [0.8, 0.99], "clip_grad": 2.0, "grad_accum_steps": 3, "model_ema": True}
    adamw = create_optimizer(small_recipe(**keys), small_model())
    assert type(adamw) is TorchAdamW
    assert (adamw.epsilon, adamw.beta_1, adamw.beta_2, adamw.global_clipnorm) == (1e-6, 0.8, 0.99, 2.0)
    assert (adamw.grad_accum_steps, adamw.ema_decay, len(adamw.averages)) == (3, 0.9998, len(adamw.momentums))
    sgd = create_optimizer(small_recipe(opt="sgd", momentum=0.7, clip_grad=2.0, clip_mode="value"), small_model())
    assert type(sgd) is TorchSGD
    assert (sgd.momentum, sgd.nesterov, sgd.clipvalue, sgd.ema_decay) == (0.7, True, 2.0, None)
    warm = create_optimizer(small_recipe(model_ema=True, model_ema_warmup=True), small_model())
    assert (adamw.ema_warmup, warm.ema_warmup) == (False, True)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", KERAS_OPTIMIZERS)
def test_every_keras_optimizer_takes_a_step(name):
    model = small_model()
    optimizer = create_optimizer(small_recipe(opt=name), model)
    assert type(optimizer).__name__.lower() == name
    before = [to_numpy(weight).copy() for weight in model.trainable_weights]
    optimizer.apply([keras.ops.ones(weight.shape) for weight in model.trainable_weights])
    for weight, value in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(to_numpy(weight)).all()
        assert not np.array_equal(to_numpy(weight), value)


def muon_updates(rate: float, weight_decay: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns value and change of each weight in a first step, by path."""
    model = small_model()
    optimizer = create_optimizer(small_recipe(opt="muon", lr=rate, weight_decay=weight_decay), model)
    before = {weight.path: to_numpy(weight).copy() for weight in model.trainable_weights}
    generator = np.random.default_rng(0)
    gradients = [
        generator.choice([-1, 1], weight.shape) * generator.uniform(0.5, 2, weight.shape)
        for weight in model.trainable_weights
    ]
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32")) for gradient in gradients])
    return {
        weight.path: (before[weight.path], to_numpy(weight) - before[weight.path]) for weight in model.trainable_weights
    }


def test_muon_trains_the_matrices_of_blocks_and_adam_the_head_and_the_rest():
    updates = muon_updates(0.1, weight_decay=0.0)
    is_matrix = {path: path.startswith("block_") and change.ndim == 2 for path, (_, change) in updates.items()}
    assert sum(is_matrix.values()) == 8
    for path, (_, change) in updates.items():
        if is_matrix[path]:  # nearly orthogonal, times a factor that depends on its size
            singular_values = np.linalg.svd(change, compute_uv=False) / (0.1 * 0.2 * max(change.shape) ** 0.5)
            assert singular_values.min() > 0.4, path
            assert singular_values.max() < 1.3, path
        else:  # Adam's first step is the learning rate, whatever the gradient
            np.testing.assert_allclose(np.abs(change), 0.1, rtol=1e-4, err_msg=path)
    assert not any(is_matrix[path] for path in ("head/kernel", "sequence_pool/score/kernel"))


def test_weights_decay_with_muon_as_with_adamw():
    without, decayed = muon_updates(0.1, weight_decay=0.0), muon_updates(0.1, weight_decay=0.5)
    for path, (value, change) in decayed.items():
        expected = without[path][1] - (0 if value.ndim == 1 else 0.1 * 0.5 * value)
        np.testing.assert_allclose(change, expected, atol=1e-5, err_msg=path)


def test_learning_rates_decrease_from_the_head_to_the_tokenizer():
    model = small_model()
    factors = create_optimizer(small_recipe(layer_decay=0.5), model).learning_rate_factors
    found = {}
    for weight, factor in zip(model.trainable_weights, factors, strict=True):
        found.setdefault(weight.path.split("/")[0], set()).add(factor)
    assert found == {
        "tokenizer": {0.125},
        "position_embedding": {0.125},
        "block_0": {0.25},
        "block_1": {0.5},
        "norm": {1.0},
        "sequence_pool": {1.0},
        "head": {1.0},
    }


def test_frozen_weights_keep_their_values():
    model = small_model()
    model.get_layer("tokenizer").trainable = False
    optimizer = create_optimizer(small_recipe(layer_decay=0.5), model)
    before = to_numpy(model.get_layer("tokenizer").weights[0]).copy()
    optimizer.apply([keras.ops.ones(weight.shape) for weight in model.trainable_weights])
    np.testing.assert_array_equal(to_numpy(model.get_layer("tokenizer").weights[0]), before)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"opt": "adamx"}, "recipe key opt='adamx' is unknown. Choose one of adamw, sgd, "),
        ({"opt": "lion", "opt_eps": 1e-6}, "recipe key opt_eps=1e-06 is not supported by opt='lion'"),
        ({"opt": "sgd", "opt_betas": [0.9, 0.99]}, "recipe key opt_betas=(0.9, 0.99) is not supported by opt='sgd'"),
        ({"opt": "adam", "model_ema": True}, "model_ema=True is not supported by opt='adam'. Use adamw or sgd."),
        ({"opt": "adam", "grad_accum_steps": 2}, "grad_accum_steps=2 is not supported by opt='adam'"),
        ({"opt": "adam", "clip_grad": 1.0}, "clip_grad=1.0 is not supported by opt='adam'"),
        ({"opt": "muon", "model_ema": True}, "model_ema=True is not supported by opt='muon'. Use adamw or sgd."),
        ({"opt": "adam", "layer_decay": 0.5}, "layer_decay=0.5 is not supported by opt='adam'"),
    ],
)
def test_keys_that_an_optimizer_does_not_support_are_refused(keys, message):
    with pytest.raises(keras_cct.InputError) as error:
        create_optimizer(small_recipe(**keys), small_model())
    assert message in str(error.value)
