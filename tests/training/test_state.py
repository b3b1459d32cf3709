import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training.torch_optimizers import TorchAdamW
from keras_cct.training.state import RunState

DATA = {"classes": ["a"], "number of images": 8, "images per step": 4}
ROWS = [{"epoch": 0, "train_loss": 1.5}]


def trained_model(num_steps: int, **settings) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras_cct.create_model("cvt_2_4_32", **({"num_layers": 1, "dim": 16, "num_heads": 2} | settings))
    model.compile(TorchAdamW(1e-2, ema_decay=0.9), "mse")
    model.optimizer.build(model.trainable_weights)
    for step in range(num_steps):
        train_step(model, step)
    return model


def train_step(model, step: int) -> None:
    images = np.random.default_rng(step).integers(0, 256, (4, 32, 32, 3))
    model.train_on_batch(images, np.zeros((4, model.output_shape[-1])))


def test_a_restored_model_takes_the_same_steps(tmp_path):
    model = trained_model(3)
    RunState.of(model, 1, 2, ROWS, DATA).write(tmp_path / "state.npz")
    state, again = RunState.read(tmp_path / "state.npz"), trained_model(0)
    assert (state.epoch, state.step, state.rows, state.data) == (1, 2, ROWS, DATA)
    state.restore(again)
    for trained in (model, again):
        state.restore_generator()
        train_step(trained, 3)
    for ours, theirs in zip(
        [*model.variables, *model.optimizer.variables], [*again.variables, *again.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs), err_msg=ours.path)


@pytest.mark.parametrize(("settings", "message"), [({"dim": 32}, "where this one has"), ({"num_layers": 2}, "where")])
def test_the_state_of_another_model_is_refused_and_nothing_changes(settings, message):
    state, other = RunState.of(trained_model(1), 1, 0, ROWS, DATA), trained_model(0, **settings)
    before = [to_numpy(weight).copy() for weight in other.weights]
    with pytest.raises(keras_cct.InputError, match="the state is another model's: it has .* " + message):
        state.restore(other)
    for ours, theirs in zip(before, other.weights, strict=True):
        np.testing.assert_array_equal(ours, to_numpy(theirs))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"words"])
def test_a_broken_state_is_refused(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(keras_cct.InputError, match="is no state of a run"):
        RunState.read(tmp_path / "state.npz")


def test_other_data_is_refused():
    state = RunState.of(trained_model(0), 1, 0, ROWS, DATA)
    state.check_data(dict(DATA))
    with pytest.raises(
        keras_cct.InputError, match="the run began with 8 as number of images and would go on with 9. Give the same"
    ):
        state.check_data(DATA | {"number of images": 9})
