import json
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training.optimizers import SGD, AdamW

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("fixtures", "golden_recipe.json").read_text())


def test_adamw_takes_the_steps_of_pytorch():
    golden = GOLDEN["adamw"]
    weight, bias = (keras.Variable(np.array(golden["init"][name], "float32")) for name in ("w", "b"))
    optimizer = AdamW(weight_decay=golden["weight_decay"]["w"], epsilon=golden["eps"])
    optimizer.exclude_from_weight_decay(var_list=[bias])
    optimizer.build([weight, bias])
    for step, expected in zip(golden["steps"], golden["after_each_step"], strict=True):
        optimizer.learning_rate = step["lr"]
        optimizer.apply([keras.ops.convert_to_tensor(np.array(step[name], "float32")) for name in ("gw", "gb")])
        np.testing.assert_allclose(to_numpy(weight), expected["w"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(to_numpy(bias), expected["b"], rtol=1e-6, atol=1e-6)


def test_small_gradients_tell_it_from_keras():
    # The first bias gradients of the golden steps are 1e-7, ten times epsilon.
    moved = []
    for kind in (AdamW, keras.optimizers.AdamW):
        variable = keras.Variable(np.zeros(1, "float32"))
        optimizer = kind(learning_rate=1.0, weight_decay=0.0, epsilon=1e-8)
        optimizer.build([variable])
        optimizer.apply([keras.ops.convert_to_tensor(np.array([1e-7], "float32"))])
        moved.append(float(to_numpy(variable)[0]))
    assert moved[0] == pytest.approx(-1e-7 / (1e-7 + 1e-8), rel=1e-5)
    assert abs(moved[1] - moved[0]) > 0.1


def test_compiled_model_loads_again_with_its_optimizer(tmp_path):
    model = keras_cct.create_model("cvt_2_4_32")
    model.compile(AdamW(3e-4, weight_decay=0.06), "mse")
    model.train_on_batch(np.zeros((1, 32, 32, 3)), np.zeros((1, 10)))
    model.save(tmp_path / "model.keras")
    optimizer = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert isinstance(optimizer, AdamW)
    assert (float(optimizer.learning_rate), optimizer.weight_decay) == (pytest.approx(3e-4), 0.06)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad=True is not supported"):
        AdamW(amsgrad=True)


def apply_gradients(optimizer, start: list[float], gradients: list[list[float]], rates: list[float] | None = None):
    """Returns the weight after each gradient."""
    variable = keras.Variable(np.array(start, "float32"))
    optimizer.build([variable])
    values = []
    for step, gradient in enumerate(gradients):
        if rates is not None:
            optimizer.learning_rate = rates[step]
        optimizer.apply([keras.ops.convert_to_tensor(np.array(gradient, "float32"))])
        values.append(to_numpy(variable).copy())
    return values


def test_sgd_takes_the_steps_of_pytorch():
    start, gradients, rates = [1.0, -2.0], [[0.5, 0.1], [-0.3, 0.2], [0.2, 0.4]], [0.1, 0.1, 0.01]
    optimizer = SGD(momentum=0.9, weight_decay=0.05)
    weight, velocity = np.array(start), np.zeros(2)
    for step, value in enumerate(apply_gradients(optimizer, start, gradients, rates)):
        gradient = np.array(gradients[step]) + 0.05 * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - rates[step] * (gradient + 0.9 * velocity)
        np.testing.assert_allclose(value, weight, rtol=1e-6)


def test_average_is_that_of_the_original():
    golden = GOLDEN["ema"]
    optimizer = SGD(1.0, momentum=0.0, ema_decay=golden["decay"])
    variable = keras.Variable(np.array([golden["init_equals_model"]], "float32"))
    optimizer.build([variable])
    for value, average in zip(golden["model_values"], golden["ema_after_each"], strict=True):
        optimizer.apply([keras.ops.convert_to_tensor(to_numpy(variable) - value)])
        assert to_numpy(optimizer.averages[0])[0] == pytest.approx(average, abs=2e-7)  # float32


@pytest.mark.parametrize("kind", [AdamW, SGD])
def test_accumulated_steps_make_one_update_with_the_mean_gradient(kind):
    start, gradients = [1.0, -2.0], [[0.5, 0.1], [-0.3, 0.3], [0.2, 0.4], [0.4, -0.2]]
    settings = {"weight_decay": 0.1, "global_clipnorm": 0.25, "ema_decay": 0.5}
    whole, parts = kind(0.1, **settings), kind(0.1, **settings, grad_accum_steps=2)
    expected = apply_gradients(whole, start, [np.mean(gradients[:2], axis=0), np.mean(gradients[2:], axis=0)])
    values = apply_gradients(parts, start, gradients)
    np.testing.assert_array_equal(values[0], np.float32(start))
    np.testing.assert_allclose(values[1], expected[0], rtol=1e-6)
    np.testing.assert_array_equal(values[2], values[1])
    np.testing.assert_allclose(values[3], expected[1], rtol=1e-6)
    np.testing.assert_allclose(to_numpy(parts.averages[0]), to_numpy(whole.averages[0]), rtol=1e-6)


def test_a_factor_scales_the_learning_rate_of_its_weight_only():
    weights = [keras.Variable(np.ones(2, "float32")) for _ in range(2)]
    optimizer = SGD(0.5, momentum=0.0)
    optimizer.learning_rate_factors = {0: 0.1}
    optimizer.build(weights)
    optimizer.apply([keras.ops.ones(2), keras.ops.ones(2)])
    np.testing.assert_allclose([to_numpy(weight)[0] for weight in weights], [0.95, 0.5])
