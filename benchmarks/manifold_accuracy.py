"""Compares softmax and manifold attention by accuracy on the bundled sample.

Trains CCT-2/3x2 with the recipe of the sample, for each attention type and three seeds. The models differ only in their
attention. Writes the accuracies after the last epoch to `results/manifold_accuracy.json`;
`tools/make_benchmark_tables.py` writes the table. After an interruption, the missing trainings are run.

    python benchmarks/manifold_accuracy.py
"""

import itertools

from trainings import train_missing, train_once

from keras_cct.recipe.loading import load_recipe

ATTENTION_TYPES = ("softmax", "spd", "gm", "all")
SEEDS = (0, 1, 2)


def main() -> None:
    """Runs the missing trainings."""
    recipe = load_recipe("sample", model="cct_2_3x2_32")
    trainings = [
        {"attention_type": attention_type, "seed": seed}
        for seed, attention_type in itertools.product(SEEDS, ATTENTION_TYPES)
    ]
    train_missing("manifold_accuracy", trainings, lambda **keys: train_once(recipe, **keys))


if __name__ == "__main__":
    main()
