import csv
import logging
import shutil

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.small_run import small_data, small_recipe

import keras_cct
from keras_cct.cli import main
from keras_cct.data.images import LabeledImages
from keras_cct.training import average
from keras_cct.training import run as training_run
from keras_cct.training.folder import RunFolder

IMAGES = np.arange(8, dtype="uint8").repeat(28 * 28).reshape(8, 28, 28, 1)
LABELS = np.zeros(8, "int64")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three epochs whose logits are only biases: class 0 wins in their mean, and in none of them."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "recipe.yml").write_text(small_recipe(epochs=3).to_yaml())
    rows = [{"epoch": epoch, "eval_top1": top1, "eval_top5": 50.0, "eval_loss": 1.0} for epoch, top1 in BIASES]
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = small_data(None)[0].class_names
    fields = {"input_shape": (28, 28, 1), "dim": 8, "num_heads": 2, "num_layers": 1, "patch_size": 7}
    model = keras_cct.CVT(**fields, class_names=names, name="cct_2_3x2_32")
    model.get_layer("head").kernel.assign(np.zeros((8, 10)))
    for (epoch, _), biases in BIASES.items():
        model.get_layer("head").bias.assign(biases)
        model.save(folder / "checkpoints" / f"epoch-{epoch:04d}.keras")
    return folder


def biases(**values: float) -> np.ndarray:
    array = np.zeros(10, "float32")
    for name, value in values.items():
        array[int(name[1:])] = value
    return array


BIASES = {(1, 30.0): biases(c0=3, c1=4), (2, 20.0): biases(c0=3, c2=4), (3, 10.0): biases(c0=-9, c3=4)}


@pytest.fixture(autouse=True)
def _data(monkeypatch):
    data = LabeledImages(IMAGES, LABELS, small_data(None)[0].class_names)
    monkeypatch.setattr(average, "open_data", lambda _recipe, _split=None: (data, data))


@pytest.mark.one_backend
def test_a_better_average_is_kept_and_has_the_mean_of_the_weights(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    result = keras_cct.average_checkpoints(tmp_path / "run", top=2)
    assert (result.epochs, result.metric, result.best, result.average) == ((1, 2), "top1", 0.0, 100.0)
    assert result.path == tmp_path / "run" / "average.keras"
    model = keras.models.load_model(result.path)
    assert not model.compiled
    np.testing.assert_allclose(to_numpy(model.get_layer("head").bias), biases(c0=3, c1=2, c2=2))
    first = keras.models.load_model(run / "checkpoints" / "epoch-0001.keras")
    kernel = to_numpy(first.get_layer("block_0").mlp_in.kernel)
    np.testing.assert_array_equal(to_numpy(model.get_layer("block_0").mlp_in.kernel), kernel)


def test_an_average_that_is_not_better_is_not_kept(run, capsys):
    before = sorted(run.rglob("*"))
    assert main(["average", str(run)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "best checkpoint, epoch 1: top-1 0.00 %",
        "average of epochs 1, 2, 3: top-1 0.00 %",
        "not kept: the average is not better than the best checkpoint",
    ]
    assert sorted(run.rglob("*")) == before


def test_a_lower_loss_is_better(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "recipe.yml").write_text(small_recipe(epochs=3, eval_metric="loss").to_yaml())
    assert main(["average", str(tmp_path / "run"), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    best, mean = np.log(np.exp(BIASES[1, 30.0]).sum()) - 3, np.log(np.exp(biases(c0=3, c1=2, c2=2)).sum()) - 3
    assert lines[0] == f"best checkpoint, epoch 1: loss {best:.4f}"
    assert lines[1:] == [f"average of epochs 1, 2: loss {mean:.4f}", f"wrote {tmp_path / 'run' / 'average.keras'}"]


@pytest.mark.parametrize(("average_best", "is_kept"), [(2, True), (3, False)])
def test_a_run_averages_its_best_epochs_at_its_end(average_best, is_kept, run, tmp_path, caplog, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    shutil.copy(folder.checkpoint(1), folder.best_model)
    folder.average_model.write_bytes(b"of fewer epochs")
    for name in ("draw_curves", "export_saved_model"):
        monkeypatch.setattr(training_run, name, lambda *_: None)
    caplog.set_level(logging.INFO, "keras_cct")
    rows = [{"epoch": epoch, "train_loss": 1.0, "eval_top1": top1, "eval_loss": 1.0} for epoch, top1 in BIASES]
    recipe = small_recipe(epochs=3, average_best=average_best)
    data = LabeledImages(IMAGES, LABELS, small_data(None)[0].class_names)
    training_run._finish(recipe, rows, folder, data)
    assert "best checkpoint, epoch 1: top-1 0.00 %" in caplog.messages
    if is_kept:
        expected = keras_cct.average_checkpoints(run, top=2)
        expected.path.unlink()
        assert f"average of epochs 1, 2: top-1 {expected.average:.2f} %" in caplog.messages
        assert f"wrote {folder.average_model}" in caplog.messages
        assert keras.models.load_model(folder.average_model).name == "cct_2_3x2_32"
    else:
        assert "not kept: the average is not better than the best checkpoint" in caplog.messages
        assert not folder.average_model.exists()


def test_one_checkpoint_is_not_averaged(run, tmp_path, caplog):
    shutil.copytree(run, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    for epoch in (2, 3):
        folder.checkpoint(epoch).unlink()
    data = LabeledImages(IMAGES, LABELS, small_data(None)[0].class_names)
    training_run._average_best(small_recipe(average_best=2), folder, data)
    assert "average_best=2 has no effect: averaging needs 2 checkpoints, the run has 1" in caplog.text
    assert not folder.average_model.exists()


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda run: None, ["--top", "1"], "top must be at least 2, got 1"),
        (lambda run: None, ["--top", "4"], "has 3 checkpoints, but an average needs 4"),
        (lambda run: shutil.rmtree(run / "checkpoints"), [], "has 0 checkpoints, but an average needs 2"),
        (lambda run: (run / "recipe.yml").unlink(), [], "is not a run folder"),
        (lambda run: (run / "summary.csv").unlink(), [], "has no summary.csv"),
        (lambda run: (run / "summary.csv").write_text("epoch\nx\n"), [], "summary.csv' is not the summary of a run"),
        (lambda run: (run / "checkpoints/epoch-0002.keras").write_bytes(b"x"), [], "epoch-0002.keras"),
        (
            lambda run: keras_cct.create_model("cvt_2", num_layers=1).save(run / "checkpoints/epoch-0002.keras"),
            [],
            "epoch-0002.keras' has another architecture than",
        ),
    ],
)
def test_what_cannot_be_averaged_is_one_line(change, arguments, message, run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    change(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    assert main(["average", str(tmp_path / "run"), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("value", [None, 5, b"x", [[]]])
def test_the_run_is_a_path(value):
    with pytest.raises(keras_cct.InputError, match="run must be the path of a run folder"):
        keras_cct.average_checkpoints(value)
