import json
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.optimizers import AdamW

GOLDEN = json.loads(Path(__file__).with_name("fixtures").joinpath("golden_recipe.json").read_text())


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
