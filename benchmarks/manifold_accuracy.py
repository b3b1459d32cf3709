"""Compares softmax and manifold attention by accuracy on the bundled sample.

Trains CCT-2/3x2 with the recipe of the sample, for each attention type and several seeds, and prints the best top-1
accuracy on the test images as a Markdown table. The models differ only in their attention.

    python benchmarks/manifold_accuracy.py --seeds 3
"""

import argparse
import statistics
import sys

from keras_cct.errors import InputError
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

VARIANT = "cct_2_3x2_32"
ATTENTION_TYPES = {"Euclidean": "softmax", "SPD": "spd", "GM": "gm", "all": "all"}


def main() -> int:
    """Trains all models and prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare softmax and manifold attention on the bundled sample.")
    parser.add_argument("--epochs", type=int, help="epochs per training (default: from the recipe)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per attention type (default 3)")
    options = parser.parse_args()
    overrides = {} if options.epochs is None else {"epochs": options.epochs}
    try:
        recipes = [load_recipe("sample", model=VARIANT, seed=seed, **overrides) for seed in range(options.seeds)]
        if not recipes:
            raise InputError(f"--seeds must be at least 1, got {options.seeds}.")
    except InputError as error:
        print(f"manifold_accuracy: {error}", file=sys.stderr)
        return 2
    print("| attention | parameters | top-1 in %, mean (min .. max) |\n|---|---|---|")
    for label, attention_type in ATTENTION_TYPES.items():
        runs = [train(recipe, attention_type) for recipe in recipes]
        (num_params, *_), accuracies = zip(*runs, strict=True)
        spread = f"{statistics.mean(accuracies):.2f} ({min(accuracies):.2f} .. {max(accuracies):.2f})"
        print(f"| {label} | {num_params:,} | {spread} |", flush=True)
    return 0


def train(recipe: Recipe, attention_type: str) -> tuple[int, float]:
    """Trains one model and returns its number of parameters and its best top-1 accuracy in percent."""
    import keras

    from keras_cct.create import create_model
    from keras_cct.data.augment.plan import Augmentation
    from keras_cct.data.pipeline import evaluation_batches, training_batches
    from keras_cct.data.sample import load_sample
    from keras_cct.training.optimizers import create_optimizer

    train_data, eval_data = load_sample("train"), load_sample("test")
    keras.utils.set_random_seed(recipe.seed)
    model = create_model(
        recipe.model,
        input_shape=train_data.image_shape,
        num_classes=len(train_data.class_names),
        normalization=(recipe.mean, recipe.std),
        attention_type=attention_type,
    )
    model.compile(
        optimizer=create_optimizer(recipe, model),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="top1")],
    )
    plan = Augmentation.from_recipe(recipe).for_images(train_data.image_shape, recipe.batch_size)
    learning_rates = recipe.learning_rates()
    history = model.fit(
        training_batches(train_data, recipe, plan),
        epochs=recipe.total_epochs,
        steps_per_epoch=len(train_data) // recipe.batch_size,
        validation_data=evaluation_batches(eval_data, recipe, eval_data.image_shape, recipe.batch_size),
        shuffle=False,
        callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: learning_rates[epoch])],
        verbose=0,
    )
    return model.count_params(), 100 * max(history.history["val_top1"])


if __name__ == "__main__":
    sys.exit(main())
