"""Compares the accuracy of one recipe on TensorFlow, JAX and PyTorch.

Trains CCT-2/3x2 with the recipe of the bundled sample and three seeds, on the current backend of Keras, and writes the
accuracies after the last epoch to `results/backend_accuracy.json`; `tools/make_benchmark_tables.py` writes the table.
The backends draw other initial weights and dropout masks from the same seed. After an interruption, the missing
trainings are run.

    for backend in tensorflow jax torch; do KERAS_BACKEND=$backend python benchmarks/backend_accuracy.py; done
"""

from trainings import train_missing, train_once

from keras_cct.recipe.loading import load_recipe

SEEDS = (0, 1, 2)


def main() -> None:
    """Runs the missing trainings on the current backend."""
    import keras

    recipe = load_recipe("sample")
    trainings = [{"framework": keras.backend.backend(), "seed": seed} for seed in SEEDS]
    train_missing("backend_accuracy", trainings, lambda framework, seed: train_once(recipe, seed=seed))


if __name__ == "__main__":
    main()
