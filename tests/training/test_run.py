import csv
import json
import logging
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.small_run import assert_same_weights, first_images, replace_export, small_data, small_recipe

import keras_cct
from keras_cct.data.augment.mixing import soft_targets
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.training import prepared_run, training_loop
from keras_cct.training import run as training_run
from keras_cct.training.optimizers import create_optimizer
from keras_cct.training.setup import create_training_model, plan_training

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("fixtures").joinpath("golden_recipe.json").read_text())


@pytest.fixture(autouse=True)
def _small_data(monkeypatch):
    monkeypatch.setattr(prepared_run, "open_data", small_data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared_run, "open_data", small_data)
        return keras_cct.train(small_recipe(), tmp_path_factory.mktemp("runs") / "run")


def rows_of(folder) -> list[dict]:
    with folder.summary.open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_run_folder_has_exactly_the_documented_files(run):
    names = sorted(path.name for path in run.path.iterdir())
    inputs = ["data.npz", "environment.json", "recipe.yml"]
    models = ["best.keras", "checkpoints", "last.keras", "saved_model", "state.npz"]
    assert names == sorted([".lock", *inputs, *models, "curves.png", "summary.csv", "tensorboard"])
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["epoch-0001.keras", "epoch-0002.keras"]
    assert run.curves.read_bytes().startswith(b"\x89PNG")
    assert keras_cct.load_recipe(run.recipe) == small_recipe()


def test_summary_has_a_row_per_epoch_with_the_schedule(run):
    rows = rows_of(run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["learning_rate"] for row in rows] == pytest.approx(small_recipe().learning_rates(), abs=1e-6)
    assert all(np.isfinite(list(row.values())).all() for row in rows)


def test_best_model_and_saved_model_reach_the_best_top1(run):
    best = max(row["eval_top1"] for row in rows_of(run))
    _, data = small_data("")
    for artifact in (run.best_model, run.saved_model):
        predictor = keras_cct.load_predictor(artifact)
        assert evaluate(predictor, data).top1 == pytest.approx(best, abs=1e-4)
        assert list(predictor.class_names) == list(data.class_names)


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_weights(run, tmp_path, monkeypatch):
    replace_export(monkeypatch)
    again = keras_cct.train(small_recipe(), tmp_path / "run")
    assert_same_weights(run.best_model, again.best_model)


def test_biases_and_norms_do_not_decay():
    model = create_training_model(plan_training(small_recipe(lr=0.1, weight_decay=0.5), 16), first_images("train", 1))
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    before = {weight.path: to_numpy(weight).copy() for weight in model.trainable_weights}
    model.optimizer.build(model.trainable_weights)
    model.optimizer.apply([keras.ops.zeros(weight.shape) for weight in model.trainable_weights])
    for weight in model.trainable_weights:
        # Without a gradient AdamW only decays, by lr * weight_decay.
        factor = 1.0 if len(weight.shape) == 1 else 1 - 0.1 * 0.5
        np.testing.assert_allclose(to_numpy(weight), factor * before[weight.path], atol=1e-6, err_msg=weight.path)


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(keras_cct.InputError, match="is not empty"):
        keras_cct.train(small_recipe(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model": "cct_9"}, "unknown variant 'cct_9'"),
        ({"mean": [0.1, 0.2, 0.3], "reprob": 0.5}, "mean=[0.1, 0.2, 0.3] and std="),
        ({"mixup": 0.8, "batch_size": 15}, "got 15"),
    ],
)
def test_impossible_recipes_are_refused_before_anything_is_written(overrides, message, tmp_path):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.train(small_recipe(**overrides), tmp_path / "run")
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_unknown_dataset_is_refused(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(keras_cct.InputError, match="unknown dataset 'frob'"):
        keras_cct.train(small_recipe(dataset="frob"), "never")


@pytest.mark.one_backend
@pytest.mark.parametrize("variant", GOLDEN["weight_decay_groups"])
def test_the_decayed_weights_are_those_of_timm(variant):
    golden = GOLDEN["weight_decay_groups"][variant]
    # The reference implementation trains the position embedding of its sine variants too.
    model = keras_cct.create_model(variant, position_embedding="learnable")
    optimizer = create_optimizer(small_recipe(), model)
    decayed = [weight for weight in model.trainable_weights if optimizer._use_weight_decay(weight)]
    kept = [weight for weight in model.trainable_weights if not optimizer._use_weight_decay(weight)]
    assert (len(decayed), len(kept)) == (golden["decay_tensors"], golden["no_decay_tensors"])
    assert sum(math.prod(weight.shape) for weight in decayed) == golden["decay_params"]


def test_loss_is_the_cross_entropy_on_soft_targets():
    golden = GOLDEN["losses"]
    logits, labels = np.array(golden["logits"], "float32"), np.array(golden["labels"])
    loss = create_training_model(plan_training(small_recipe(), 16), first_images("train", 1)).loss
    for smoothing, name in ((0.1, "label_smoothing_0.1"), (0.0, "plain_ce")):
        targets = soft_targets(labels, 10, smoothing)
        assert float(loss(targets.numpy(), logits)) == pytest.approx(golden["values"][name], abs=1e-6)


def test_log_names_the_learning_rate_that_is_reached(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "keras_cct")
    monkeypatch.setattr(training_loop, "_fit_epochs", lambda *arguments: None)
    monkeypatch.setattr(training_run, "_finish", lambda *arguments: None)
    recipe = small_recipe(epochs=2, warmup_epochs=3, cooldown_epochs=0)
    keras_cct.train(recipe, tmp_path / "run")
    (line,) = [message for message in caplog.messages if "learning rate up to" in message]
    assert f"learning rate up to {max(recipe.learning_rates()):g};" in line
    assert max(recipe.learning_rates()) < recipe.lr
    assert "warmup_epochs=3 is not below epochs=2" in caplog.text


def test_mean_and_std_of_other_channels_are_refused_with_what_to_set(tmp_path):
    defaults = keras_cct.Recipe(model="cct_2_3x2_32", dataset="sample")
    recipe = small_recipe(mean=list(defaults.mean), std=list(defaults.std))
    with pytest.raises(keras_cct.InputError, match=r"mean=\[0.485, .*std=\[0.229, .*1 channel\. Set mean and std to 1"):
        keras_cct.train(recipe, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_batch_larger_than_the_training_set_is_reduced(tmp_path, caplog, monkeypatch):
    replace_export(monkeypatch)
    recipe = small_recipe(batch_size=128, epochs=1, cooldown_epochs=0, mixup=0.8, freeze=True)
    folder = keras_cct.train(recipe, tmp_path / "run")
    assert "batch of 128 images reduced to 80: the training set has 80" in caplog.text
    assert len(rows_of(folder)) == 1
    resumed = keras_cct.resume(folder.path, epochs=2)
    assert [row["epoch"] for row in rows_of(resumed)] == [1, 2]
