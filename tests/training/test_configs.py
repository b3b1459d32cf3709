"""Every published config plans a run on random images of its size; in `make test-all`, three train two steps."""

import contextlib
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct
from keras_cct.recipe.loading import CONFIGS
from keras_cct.training.prepared_run import PreparedRun

NAMES = sorted(str(path.relative_to(CONFIGS.parent)) for path in CONFIGS.rglob("*.yml") if path.stem != "sample")
MODELS = {"imagenet": "cct_7_7x2_224", "flowers102": "cct_7_7x2_224", "cifar10": "cct_2_3x2_32"}
"""Variants for the configs that name no model, other than `cct_7_3x1_32`."""
TRAINED = [
    "configs/datasets/cifar10.yml",
    "configs/datasets/fashion_mnist.yml",
    "configs/finetuned/cct_14-7x2_flowers102.yml",
]
PLANNED = [
    pytest.param(name, marks=pytest.mark.slow if "00epochs" in name and "_300" not in name else ()) for name in NAMES
]
"""Configs that differ from another one in the number of epochs are slow."""


def write_images(path: Path, recipe: keras_cct.Recipe, num_images: int) -> str:
    random = np.random.default_rng(0)
    shape = (num_images, recipe.img_size, recipe.img_size, len(recipe.mean))
    images = random.integers(0, 256, shape, dtype="uint8")
    labels = random.integers(0, recipe.num_classes, num_images)
    arrays = {f"x_{split}": images for split in ("train", "test")} | {
        f"y_{split}": labels for split in ("train", "test")
    }
    np.savez(path, class_names=[f"class {index}" for index in range(recipe.num_classes)], **arrays)
    return str(path)


@pytest.fixture(scope="module")
def weights_for_224(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "cct_14_7x2_224.safetensors"
    keras_cct.save_weights_file(keras_cct.create_model("cct_14_7x2_224"), path)
    return str(path)


def prepare_run(config: str, folder: Path, initial_checkpoint: str) -> PreparedRun:
    name = Path(config).stem
    recipe = keras_cct.load_recipe(config, default_model=MODELS.get(name, "cct_7_3x1_32"))
    keys = {"data_dir": write_images(folder / "images.npz", recipe, 4), "batch_size": 2}
    if "finetuned" in config:
        # Instead of a download of the published weights.
        assert recipe.pretrained or recipe.initial_checkpoint
        keys["initial_checkpoint"] = initial_checkpoint
    other_head = pytest.warns(UserWarning, match="1000 classes")
    with other_head if config.startswith("configs/finetuned/cct_14-7x2_flowers") else contextlib.nullcontext():
        return PreparedRun.prepare(dataclasses.replace(recipe, **keys))


@pytest.mark.tensorflow
@pytest.mark.parametrize("config", PLANNED)
def test_plans_a_run(config, tmp_path, weights_for_224):
    run = prepare_run(config, tmp_path, weights_for_224)
    assert run.model.optimizer.weight_decay == run.recipe.weight_decay
    assert run.model.input_shape[1:] == run.augmentation.image_shape
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("config", TRAINED)
def test_takes_two_steps(config, tmp_path, weights_for_224):
    run = prepare_run(config, tmp_path, weights_for_224)
    before = [to_numpy(weight).copy() for weight in run.model.trainable_weights]
    history = run.model.fit(run.training_batches(0), epochs=1, steps_per_epoch=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    if run.recipe.warmup_lr > 0:
        weights = zip(run.model.trainable_weights, before, strict=True)
        assert all(not np.array_equal(to_numpy(weight), start) for weight, start in weights)
    keras.backend.clear_session()
