import json

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training.state import RunState
from keras_cct.training.torch_optimizers import TorchAdamW

IMAGES_PER_STEP = 4
ROWS = [{"epoch": 1, "train_loss": 1.5}]


def trained_model(num_steps: int, **settings) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras_cct.create_model(
        "cvt_2_4_32", **({"input_shape": (8, 8, 3), "num_layers": 1, "dim": 16, "num_heads": 2} | settings)
    )
    model.compile(TorchAdamW(1e-2, ema_decay=0.9), "mse", jit_compile=keras.backend.backend() == "jax")  # as in runs
    model.optimizer.build(model.trainable_weights)
    for step in range(num_steps):
        train_step(model, step)
    return model


def train_step(model, step: int) -> None:
    images = np.random.default_rng(step).integers(0, 256, (4, 8, 8, 3))
    model.train_on_batch(images, np.zeros((4, model.output_shape[-1])))


def test_a_restored_model_takes_the_same_steps(tmp_path):
    model = trained_model(3)
    RunState.of(model, 1, 2, ROWS, IMAGES_PER_STEP).write(tmp_path / "state.npz")
    state, again = RunState.read(tmp_path / "state.npz"), trained_model(0)
    assert (state.epoch, state.step, state.rows, state.images_per_step) == (1, 2, ROWS, IMAGES_PER_STEP)
    for trained in (model, again):
        if keras.backend.backend() == "torch" or trained is again:
            state.restore(trained)
        train_step(trained, 3)
    for ours, theirs in zip(
        [*model.variables, *model.optimizer.variables], [*again.variables, *again.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs), err_msg=ours.path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 32}, "the model has"),
        pytest.param({"num_layers": 2}, "the model has", marks=pytest.mark.one_backend),
    ],
)
def test_the_state_of_another_model_is_refused(settings, message):
    state, other = RunState.of(trained_model(1), 1, 0, ROWS, IMAGES_PER_STEP), trained_model(0, **settings)
    with pytest.raises(keras_cct.InputError, match="belongs to another model: the state has .*" + message):
        state.check(other, IMAGES_PER_STEP)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"words"])
def test_a_corrupt_state_is_refused(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(keras_cct.InputError, match="is not a saved training state"):
        RunState.read(tmp_path / "state.npz")


def test_another_number_of_images_per_step_is_refused():
    model = trained_model(0)
    state = RunState.of(model, 1, 0, ROWS, IMAGES_PER_STEP)
    state.check(model, IMAGES_PER_STEP)
    with pytest.raises(keras_cct.InputError, match="started with 4 images per step; now there are 8"):
        state.check(model, 8)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"step": "2"},
        {"rows": []},
        {"rows": [{}]},
        {"rows": [{"epoch": float("nan")}]},
        {"names": [3]},
        {"extra": 1},
    ],
)
def test_a_state_with_other_values_is_refused(tmp_path, change):
    facts = {"version": 3, "epoch": 1, "step": 2, "rows": ROWS, "names": [], "images_per_step": 4}
    np.savez(tmp_path / "state.npz", facts=np.array(json.dumps(facts)), generator=np.empty(0, "uint8"))
    assert RunState.read(tmp_path / "state.npz").step == 2
    facts = np.array(json.dumps(facts | change))
    np.savez(tmp_path / "state.npz", facts=facts, generator=np.empty(0, "uint8"), array_0=np.zeros(2))
    with pytest.raises(keras_cct.InputError, match=r"state.npz' is not a saved training state"):
        RunState.read(tmp_path / "state.npz")


@pytest.mark.parametrize("array", [np.array(["a", "b"]), np.ones(2, "complex64")])
def test_a_state_of_other_arrays_is_refused(tmp_path, array):
    facts = {"version": 3, "epoch": 1, "step": 2, "rows": ROWS, "names": ["a"], "images_per_step": 4}
    np.savez(tmp_path / "state.npz", facts=np.array(json.dumps(facts)), generator=np.empty(0, "uint8"), array_0=array)
    with pytest.raises(keras_cct.InputError, match=r"state.npz' is not a saved training state"):
        RunState.read(tmp_path / "state.npz")


def test_a_state_of_another_version_is_refused(tmp_path):
    facts = {"epoch": 1, "step": 0, "rows": [{"epoch": 0}], "names": [], "data": {}}  # of version 0.1.0
    np.savez(tmp_path / "state.npz", facts=np.array(json.dumps(facts)), generator=np.empty(0, "uint8"))
    with pytest.raises(keras_cct.InputError, match=r"has format 1, .* resumes format 3"):
        RunState.read(tmp_path / "state.npz")
