import json

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training.state import RunState
from keras_cct.training.torch_optimizers import TorchAdamW

DATA = {"classes": ["a"], "number of images": 8, "images per step": 4}
ROWS = [{"epoch": 1, "train_loss": 1.5}]


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
    for trained in (model, again):
        if keras.backend.backend() == "torch" or trained is again:
            state.restore(trained)
        train_step(trained, 3)
    for ours, theirs in zip(
        [*model.variables, *model.optimizer.variables], [*again.variables, *again.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs), err_msg=ours.path)


@pytest.mark.parametrize(
    ("settings", "message"), [({"dim": 32}, "the model has"), ({"num_layers": 2}, "the model has")]
)
def test_the_state_of_another_model_is_refused(settings, message):
    state, other = RunState.of(trained_model(1), 1, 0, ROWS, DATA), trained_model(0, **settings)
    with pytest.raises(keras_cct.InputError, match="belongs to another model: the state has .*" + message):
        state.check(other, DATA)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"words"])
def test_a_corrupt_state_is_refused(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(keras_cct.InputError, match="is not a saved training state"):
        RunState.read(tmp_path / "state.npz")


def test_other_data_is_refused():
    model = trained_model(0)
    state = RunState.of(model, 1, 0, ROWS, DATA)
    state.check(model, dict(DATA))
    with pytest.raises(keras_cct.InputError, match="number of images 8; now it is 9"):
        state.check(model, DATA | {"number of images": 9})


def test_a_state_of_another_version_is_refused(tmp_path):
    facts = {"epoch": 1, "step": 0, "rows": [{"epoch": 0}], "names": [], "data": DATA}  # of version 0.1.0
    np.savez(tmp_path / "state.npz", facts=np.array(json.dumps(facts)), generator=np.empty(0, "uint8"))
    with pytest.raises(keras_cct.InputError, match=r"has format 1, .* resumes format 2"):
        RunState.read(tmp_path / "state.npz")
