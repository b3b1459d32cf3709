import keras
import numpy as np
import pytest
import tensorflow as tf
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.training.callbacks import AverageEvaluation, averaged_weights
from keras_cct.training.checkpoints import Checkpoints, best_epochs
from keras_cct.training.folder import RunFolder
from keras_cct.training.torch_optimizers import TorchSGD

ROWS = [
    {"epoch": epoch, "eval_top1": top1, "eval_top5": top5, "eval_loss": loss}
    for epoch, (top1, top5, loss) in enumerate(
        [(30.0, 80.0, 2.0), (50.0, 70.0, 1.5), (50.0, 80.0, 1.5), (40.0, 90.0, 1.0)], start=1
    )
]


@pytest.mark.parametrize(
    ("metric", "expected"), [("top1", [2, 3, 4, 1]), ("top5", [4, 3, 1, 2]), ("loss", [4, 2, 3, 1])]
)
def test_epochs_are_ranked_by_metric_then_by_loss_then_by_number(metric, expected):
    assert best_epochs(ROWS, metric) == expected


class Rows:
    """Stands in for a Summary."""

    def __init__(self):
        self.rows = []


def small_model() -> keras.Model:
    return keras_cct.create_model("cvt_2_4_32", num_layers=1, dim=16, num_heads=2)


def compiled_model(optimizer) -> keras.Model:
    model = small_model()
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_weights)
    return model


def saved_bias(path) -> float:
    return float(to_numpy(keras.models.load_model(path).get_layer("head").bias)[0])


def finish_epochs(folder, model, plain_model, checkpoint_hist: int) -> None:
    summary = Rows()
    callback = Checkpoints(folder, summary, plain_model, "top1", checkpoint_hist)
    callback.set_model(model)
    for row in ROWS:
        model.get_layer("head").bias.assign(np.full(10, row["epoch"]))
        summary.rows.append(row)
        callback.on_epoch_end(row["epoch"] - 1)  # Keras counts from 0


def test_best_last_and_the_best_epochs_are_kept(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    finish_epochs(folder, compiled_model(TorchSGD()), small_model(), 2)
    assert (saved_bias(folder.best_model), saved_bias(folder.last_model)) == (2.0, 4.0)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["epoch-0002.keras", "epoch-0003.keras"]
    assert saved_bias(folder.checkpoint(3)) == 3.0
    assert not keras.models.load_model(folder.best_model).compiled


def test_averages_are_saved_beside_the_raw_weights(tmp_path):
    folder, optimizer = RunFolder.create(tmp_path / "run"), TorchSGD(ema_decay=0.5)
    finish_epochs(folder, compiled_model(optimizer), small_model(), 0)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == ["best-raw.keras", "best.keras", "last-raw.keras", "last.keras"]
    assert saved_bias(folder.path / "last-raw.keras") == 4.0
    # The optimizer took no step, so the average is still that of the initial weights.
    assert saved_bias(folder.last_model) == 0.0


def test_raw_weights_are_restored_after_the_average_was_used():
    optimizer = TorchSGD(ema_decay=0.5)
    model = compiled_model(optimizer)
    bias = model.get_layer("head").bias
    bias.assign(np.ones(10))
    with averaged_weights(model):
        np.testing.assert_array_equal(to_numpy(bias), 0.0)
    np.testing.assert_array_equal(to_numpy(bias), 1.0)


@pytest.mark.tensorflow
def test_the_evaluation_of_averages_calls_the_observers():
    model = compiled_model(TorchSGD(0.1, ema_decay=0.5))
    images, targets = np.zeros((6, *model.input_shape[1:]), "float32"), np.zeros((6, 10), "float32")
    batches = tf.data.Dataset.from_tensor_slices((images, targets)).batch(2)
    seen = []
    observer = keras.callbacks.LambdaCallback()
    observer.on_test_batch_end = lambda batch, logs=None: seen.append(batch)
    evaluation = AverageEvaluation(batches, [observer])
    evaluation.set_model(model)
    logs = {"val_loss": 9.0}
    evaluation.on_epoch_end(0, logs)
    assert seen == [0, 1, 2]
    assert logs["raw_loss"] == 9.0 != logs["val_loss"]
