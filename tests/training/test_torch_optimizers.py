import ast
import inspect
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training import torch_optimizers
from keras_cct.training.torch_optimizers import TorchAdamW, TorchSGD

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("fixtures", "golden_recipe.json").read_text())

KERAS_INTERNALS = {
    "_apply_weight_decay": (["self", "variables"], "weights would decay twice, also in steps that only accumulate"),
    "_get_variable_index": (["self", "variable"], "a weight would not find its slots"),
    "_use_weight_decay": (["self", "variable"], "biases and norms would decay"),
}
"""The private names of Keras's optimizers that ours use: their parameters, and what breaks without them."""


@pytest.mark.parametrize("name", KERAS_INTERNALS)
def test_keras_has_the_private_names_that_the_optimizers_use(name):
    parameters, consequence = KERAS_INTERNALS[name]
    method = getattr(keras.optimizers.Optimizer, name, None)
    assert method is not None, f"Keras {keras.__version__} has no Optimizer.{name}: {consequence}"
    found = list(inspect.signature(method).parameters)
    assert found == parameters, f"Keras {keras.__version__} changed Optimizer.{name} to {found}: {consequence}"


def test_the_optimizers_use_no_other_private_names_of_keras():
    tree = ast.parse(Path(torch_optimizers.__file__).read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    overridden = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    private = {name for name in used | overridden if name.startswith("_") and not name.startswith("__")}
    built = keras.optimizers.AdamW(use_ema=True, gradient_accumulation_steps=2)
    built.build([keras.Variable(np.zeros(1, "float32"))])
    of_keras = {name for name in private if hasattr(built, name)}
    assert of_keras == set(KERAS_INTERNALS)


def test_adamw_takes_the_steps_of_pytorch():
    golden = GOLDEN["adamw"]
    weight, bias = (keras.Variable(np.array(golden["init"][name], "float32")) for name in ("w", "b"))
    optimizer = TorchAdamW(weight_decay=golden["weight_decay"]["w"], epsilon=golden["eps"])
    optimizer.exclude_from_weight_decay(var_list=[bias])
    optimizer.build([weight, bias])
    for step, expected in zip(golden["steps"], golden["after_each_step"], strict=True):
        optimizer.learning_rate = step["lr"]
        optimizer.apply([keras.ops.convert_to_tensor(np.array(step[name], "float32")) for name in ("gw", "gb")])
        np.testing.assert_allclose(to_numpy(weight), expected["w"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(to_numpy(bias), expected["b"], rtol=1e-6, atol=1e-6)


def test_adamw_differs_from_keras_for_small_gradients():
    # The first bias gradients of the golden steps are 1e-7, ten times epsilon.
    moved = []
    for optimizer_class in (TorchAdamW, keras.optimizers.AdamW):
        variable = keras.Variable(np.zeros(1, "float32"))
        optimizer = optimizer_class(learning_rate=1.0, weight_decay=0.0, epsilon=1e-8)
        optimizer.build([variable])
        optimizer.apply([keras.ops.convert_to_tensor(np.array([1e-7], "float32"))])
        moved.append(float(to_numpy(variable)[0]))
    assert moved[0] == pytest.approx(-1e-7 / (1e-7 + 1e-8), rel=1e-5)
    assert abs(moved[1] - moved[0]) > 0.1


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
    optimizer = TorchSGD(momentum=0.9, weight_decay=0.05)
    weight, velocity = np.array(start), np.zeros(2)
    for step, value in enumerate(apply_gradients(optimizer, start, gradients, rates)):
        gradient = np.array(gradients[step]) + 0.05 * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - rates[step] * (gradient + 0.9 * velocity)
        np.testing.assert_allclose(value, weight, rtol=1e-6)


def test_amsgrad_divides_by_the_largest_second_moment():
    start, gradients = [1.0, -2.0], [[5.0, 1.0], [0.01, 0.2], [-0.02, -0.1]]
    optimizer = TorchAdamW(0.1, weight_decay=0.0, amsgrad=True)
    weight, mean, square, largest = np.array(start), np.zeros(2), np.zeros(2), np.zeros(2)
    for step, value in enumerate(apply_gradients(optimizer, start, gradients), start=1):
        gradient = np.array(gradients[step - 1])
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        largest = np.maximum(largest, square)
        root = np.sqrt(largest / (1 - 0.999**step)) + 1e-8
        weight = weight - 0.1 * mean / (1 - 0.9**step) / root
        np.testing.assert_allclose(value, weight, rtol=1e-5)


def test_average_is_that_of_timm():
    golden = GOLDEN["ema"]
    optimizer = TorchSGD(1.0, momentum=0.0, ema_decay=golden["decay"])
    variable = keras.Variable(np.array([golden["init_equals_model"]], "float32"))
    optimizer.build([variable])
    for value, average in zip(golden["model_values"], golden["ema_after_each"], strict=True):
        optimizer.apply([keras.ops.convert_to_tensor(to_numpy(variable) - value)])
        assert to_numpy(optimizer.averages[0])[0] == pytest.approx(average, abs=2e-7)  # float32


def test_average_with_warmup_is_that_of_timm():
    optimizer = TorchSGD(1.0, momentum=0.0, ema_decay=0.6, ema_warmup=True)
    variable = keras.Variable(np.array([1.0], "float32"))
    optimizer.build([variable])
    expected = 1.0
    for step, value in enumerate([3.0, -1.0, 2.0, 5.0, 4.0]):  # timm's get_decay(step + 1)
        decay = min(1 - (1 + step) ** (-2 / 3), 0.6)
        expected = decay * expected + (1 - decay) * value
        optimizer.apply([keras.ops.convert_to_tensor(to_numpy(variable) - np.float32(value))])
        assert to_numpy(optimizer.averages[0])[0] == pytest.approx(expected, abs=1e-6)
    assert decay == 0.6  # the last of them has no warmup any more


GRADIENTS = [[0.5, 0.1], [-0.3, 0.3], [0.2, 0.4], [0.4, -0.2]]


@pytest.mark.parametrize("optimizer_class", [TorchAdamW, TorchSGD])
@pytest.mark.parametrize("argument", ["grad_accum_steps", "gradient_accumulation_steps"])
def test_accumulated_steps_make_one_update_with_the_mean_gradient(argument, optimizer_class):
    start = [1.0, -2.0]
    settings = {"weight_decay": 0.1, "global_clipnorm": 0.25}
    whole, parts = optimizer_class(0.1, **settings), optimizer_class(0.1, **settings, **{argument: 2})
    expected = apply_gradients(whole, start, [np.mean(GRADIENTS[:2], axis=0), np.mean(GRADIENTS[2:], axis=0)])
    values = apply_gradients(parts, start, GRADIENTS)
    np.testing.assert_array_equal(values[0], np.float32(start))
    np.testing.assert_allclose(values[1], expected[0], rtol=1e-6)
    np.testing.assert_array_equal(values[2], values[1])
    np.testing.assert_allclose(values[3], expected[1], rtol=1e-6)


@pytest.mark.parametrize("optimizer_class", [TorchAdamW, TorchSGD])
def test_the_average_changes_with_every_update_only(optimizer_class):
    average = {"ema_decay": 0.5, "ema_warmup": True}
    whole, parts = (optimizer_class(0.1, **average, grad_accum_steps=steps) for steps in (1, 2))
    apply_gradients(whole, [1.0, -2.0], [np.mean(GRADIENTS[:2], axis=0), np.mean(GRADIENTS[2:], axis=0)])
    apply_gradients(parts, [1.0, -2.0], GRADIENTS)
    np.testing.assert_allclose(to_numpy(parts.averages[0]), to_numpy(whole.averages[0]), rtol=1e-6)


def test_a_factor_scales_the_learning_rate_of_its_weight_only():
    weights = [keras.Variable(np.ones(2, "float32")) for _ in range(2)]
    optimizer = TorchSGD(0.5, momentum=0.0, learning_rate_factors=[0.1, 1.0])
    optimizer.build(weights)
    optimizer.apply([keras.ops.ones(2), keras.ops.ones(2)])
    np.testing.assert_allclose([to_numpy(weight)[0] for weight in weights], [0.95, 0.5])


def test_a_factor_scales_weight_decay_too():
    weights = [keras.Variable(np.ones(2, "float32")) for _ in range(2)]
    optimizer = TorchAdamW(0.5, weight_decay=0.2, learning_rate_factors=[0.1, 1.0])
    optimizer.build(weights)
    optimizer.apply([keras.ops.zeros(2), keras.ops.zeros(2)])
    np.testing.assert_allclose([to_numpy(weight)[0] for weight in weights], [0.99, 0.9], rtol=1e-6)


# What the constructor of Keras's optimizers accepts


def line_model(optimizer) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def fit_line(optimizer, num_steps: int = 6) -> np.ndarray:
    model = line_model(optimizer)
    inputs = np.random.default_rng(1).normal(size=(2 * num_steps, 2)).astype("float32")
    model.fit(inputs, inputs @ np.array([[3.0], [-2.0]], "float32"), batch_size=2, shuffle=False, verbose=0)
    return to_numpy(model.weights[0])


SETTINGS = [
    pytest.param({"use_ema": True}, marks=pytest.mark.slow),
    pytest.param({"use_ema": True, "ema_momentum": 0.5}, marks=pytest.mark.slow),
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    pytest.param({"gradient_accumulation_steps": 3}, marks=pytest.mark.slow),
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.5},
    {"clipnorm": 0.1},
    {"clipvalue": 0.1},
    pytest.param({"global_clipnorm": 0.1}, marks=pytest.mark.slow),
    {"loss_scale_factor": 8.0},
    {"weight_decay": 0.3},
    pytest.param({"name": "other"}, marks=pytest.mark.slow),
]


@pytest.mark.one_backend
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_settings_of_keras_do_what_they_do_in_keras(settings):
    # Without momentum and weight decay, ours and Keras's SGD are the same; AdamW is nearly so, with large gradients.
    theirs, ours = keras.optimizers.SGD(0.1, **settings), TorchSGD(0.1, momentum=0.0, **settings)
    if "weight_decay" not in settings:
        np.testing.assert_allclose(fit_line(ours), fit_line(theirs), rtol=1e-5)
    theirs, ours = (
        optimizer_class(0.1, **({"weight_decay": 0.0, "epsilon": 1e-8} | settings))
        for optimizer_class in (keras.optimizers.AdamW, TorchAdamW)
    )
    np.testing.assert_allclose(fit_line(ours), fit_line(theirs), rtol=1e-4)
    assert {name: getattr(ours, name) for name in settings} == settings


def test_amsgrad_trains_as_in_keras():
    settings = {"weight_decay": 0.0, "epsilon": 1e-8, "amsgrad": True}
    ours, theirs = fit_line(TorchAdamW(0.1, **settings)), fit_line(keras.optimizers.AdamW(0.1, **settings))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.parametrize("optimizer_class", [TorchAdamW, TorchSGD])
@pytest.mark.parametrize(
    "settings",
    [
        {"use_ema": True, "ema_decay": 0.9},
        {"gradient_accumulation_steps": 2, "grad_accum_steps": 2},
    ],
    ids=str,
)
def test_two_settings_for_one_thing_are_refused(settings, optimizer_class):
    with pytest.raises(keras_cct.InputError, match=r"conflicts with .*Set one of them"):
        optimizer_class(**settings)


def test_unknown_and_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="not recognized"):
        TorchAdamW(frob=1)
    with pytest.raises(keras_cct.InputError, match="momentum"):
        TorchSGD(momentum=1.5)
    with pytest.raises(keras_cct.InputError, match="ema_warmup=True has no effect without ema_decay"):
        TorchAdamW(ema_warmup=True)
    with pytest.raises(keras_cct.InputError, match="learning_rate_factors has 1 values for 2 trainable weights"):
        TorchSGD(learning_rate_factors=[1.0]).build([keras.Variable(np.ones(1, "float32")) for _ in range(2)])


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "settings", [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_overwrite_frequency": 2}], ids=str
)
def test_what_keras_cannot_do_under_a_strategy_is_refused(settings):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = line_model(TorchAdamW(**settings))
        with pytest.raises(keras_cct.InputError, match="is not supported under a tf.distribute strategy"):
            model.optimizer.build(model.trainable_weights)


@pytest.mark.tensorflow
def test_the_average_of_keras_works_under_a_strategy():
    import tensorflow as tf

    alone = fit_line(TorchAdamW(0.1, use_ema=True, ema_momentum=0.5))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        mirrored = fit_line(TorchAdamW(0.1, use_ema=True, ema_momentum=0.5))
    np.testing.assert_allclose(mirrored, alone, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("optimizer_class", [TorchAdamW, TorchSGD])
def test_weights_of_half_precision_train(optimizer_class, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        found = fit_line(optimizer_class(0.05), num_steps=20).astype("float32")
    finally:
        keras.config.set_dtype_policy(before)
    expected = fit_line(optimizer_class(0.05), num_steps=20)
    # Rounding of weights, slots and gradients: bfloat16 has 8 bits.
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_first_step_in_bfloat16_is_that_of_float32():
    moved = {}
    for dtype in ("float32", "bfloat16"):
        variable = keras.Variable(np.zeros(2), dtype=dtype)
        optimizer = TorchAdamW(0.125, weight_decay=0.0)
        optimizer.build([variable])
        optimizer.apply([keras.ops.cast([0.5, -2.0], dtype)])
        moved[dtype] = to_numpy(keras.ops.cast(variable, "float32"))
    np.testing.assert_allclose(moved["bfloat16"], moved["float32"], rtol=2**-7)


@pytest.mark.parametrize("optimizer_class", [TorchAdamW, TorchSGD])
def test_config_makes_the_same_optimizer(optimizer_class):
    settings = {
        "learning_rate": 0.25,
        "weight_decay": 0.5,
        "clipnorm": 0.5,
        "grad_accum_steps": 3,
        "ema_decay": 0.75,
        "ema_warmup": True,
        "learning_rate_factors": [0.5, 1.0],
        "loss_scale_factor": 2.0,
        "name": "mine",
    }
    config = optimizer_class(**settings).get_config()
    assert {name: config[name] for name in settings} == settings
    again = optimizer_class.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config


def test_compiled_model_loads_again_with_its_optimizer_and_its_state(tmp_path):
    model = keras_cct.create_model("cvt_2_4_32", input_shape=(8, 8, 3), num_layers=1, dim=16, num_heads=2)
    factors = [0.5] * len(model.trainable_weights)
    optimizer = TorchAdamW(3e-4, weight_decay=0.06, ema_decay=0.9, learning_rate_factors=factors)
    model.compile(optimizer, "mse", jit_compile=keras.backend.backend() == "jax")  # as in runs
    model.train_on_batch(np.zeros((1, 8, 8, 3)), np.zeros((1, 10)))
    model.save(tmp_path / "model.keras")
    optimizer = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert isinstance(optimizer, TorchAdamW)
    assert optimizer.get_config() == model.optimizer.get_config()
    for ours, theirs in zip(model.optimizer.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


def test_a_model_compiled_by_version_0_1_0_loads_with_its_optimizer():
    path = Path(__file__).parents[1] / "fixtures" / "saved_0_1_0" / "cct.keras"
    model = keras.models.load_model(path)
    assert isinstance(model.optimizer, keras_cct.AdamW)
    assert (model.optimizer.weight_decay, model.optimizer.epsilon) == (0.01, 1e-8)


def test_public_names_are_the_optimizers_of_pytorch():
    assert (keras_cct.AdamW, keras_cct.SGD) == (TorchAdamW, TorchSGD)
