"""One training run, from a recipe to a folder with the model in it."""

import logging
import sys
from os import PathLike
from pathlib import Path

import keras

from keras_cct.callbacks import BestModel, Summary
from keras_cct.curves import draw_curves
from keras_cct.data import LabelledImages, load_sample
from keras_cct.data.pipeline import evaluation_batches, training_batches
from keras_cct.distribution import local_distribution
from keras_cct.errors import InputError
from keras_cct.export import export_saved_model
from keras_cct.factory import create_model
from keras_cct.optimizers import AdamW
from keras_cct.recipe import Recipe
from keras_cct.run_folder import RunFolder
from keras_cct.weights import read_keras_file

log = logging.getLogger(__name__)

PROGRESS_BAR, LINE_PER_EPOCH = 1, 2
"""Keras's names of what `fit` shows."""


def train(recipe: Recipe, output: str | PathLike) -> RunFolder:
    """Trains a model on all devices of this machine, evaluates it every epoch, and exports the best one.

    Args:
        recipe: What to train, on what and how.
        output: Folder for the run, new or empty.

    Returns:
        The run folder, with recipe.yml, summary.csv, best.keras, curves.png and saved_model.

    Raises:
        InputError: The recipe or the folder cannot be used; nothing has been trained then.
    """
    train_data, eval_data = load_data(recipe.dataset)
    distribution = local_distribution()
    batch_size = recipe.batch_size * distribution.num_devices
    if batch_size > len(train_data):
        raise InputError(
            f"a batch of {batch_size} images is larger than the {len(train_data)} of the set. Lower batch_size."
        )
    batches = training_batches(train_data, recipe, batch_size), evaluation_batches(eval_data, batch_size)
    keras.utils.set_random_seed(recipe.seed)
    with distribution.scope:
        model = create_training_model(recipe, train_data)
        folder = RunFolder.create(Path(output))
        folder.write_recipe(recipe.to_yaml())
        log.info(
            "training %s (%s parameters) on %s", recipe.model, f"{model.count_params():,}", distribution.description
        )
        log.info("%d images per step; learning rate up to %g; writing to %s", batch_size, recipe.lr, folder.path)
        rows = _fit(model, recipe, *batches, folder)
    best = max(rows, key=lambda row: row["eval_top1"])
    draw_curves(rows, f"{recipe.model} on {recipe.dataset}", folder.curves)
    export_saved_model(read_keras_file(folder.best_model), folder.saved_model)
    log.info(
        "best top-1 %.2f %% in epoch %d; SavedModel in %s", best["eval_top1"], best["epoch"] + 1, folder.saved_model
    )
    return folder


def load_data(dataset: str) -> tuple[LabelledImages, LabelledImages]:
    """Returns the training and the evaluation images of a recipe's `dataset`.

    Raises:
        InputError: The name is unknown.
    """
    if dataset != "sample":
        raise InputError(f"dataset={dataset!r} is unknown. Choose sample.")
    return load_sample("train"), load_sample("test")


def create_training_model(recipe: Recipe, data: LabelledImages) -> keras.Model:
    """Returns the recipe's model for these images, compiled.

    Raises:
        InputError: The variant is unknown or does not fit the images.
    """
    model = create_model(
        recipe.model,
        input_shape=data.image_shape,
        num_classes=len(data.class_names),
        class_names=data.class_names,
        normalization=(recipe.mean, recipe.std),
    )
    model.compile(
        optimizer=create_optimizer(recipe, model),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            keras.metrics.CategoricalAccuracy(name="top1"),
            keras.metrics.TopKCategoricalAccuracy(k=5, name="top5"),
        ],
    )
    return model


def create_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns AdamW that decays neither biases, those of attention maps included, nor norms with one axis."""
    optimizer = AdamW(recipe.lr, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in model.trainable_weights if len(weight.shape) == 1 or weight.name == "beta"]
    )
    return optimizer


def _fit(model: keras.Model, recipe: Recipe, train_batches, eval_batches, folder: RunFolder) -> list[dict[str, float]]:
    images, _ = train_batches.element_spec
    steps_per_epoch = int(train_batches.cardinality()) // recipe.total_epochs
    learning_rates = recipe.learning_rates()
    summary = Summary(folder, num_images=steps_per_epoch * images.shape[0])
    model.fit(
        train_batches,
        epochs=recipe.total_epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=eval_batches,
        shuffle=False,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch]),
            summary,
            BestModel(folder),
        ],
        verbose=PROGRESS_BAR if sys.stdout.isatty() else LINE_PER_EPOCH,
    )
    return summary.rows
