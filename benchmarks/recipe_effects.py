"""Measures what training options change on the bundled sample, at equal epochs and seeds.

Trains CCT-2/3x2 with the recipe of the sample, without and with each option, and prints the best top-1 accuracy on the
test images as a Markdown table. The teacher is the model of the shipped weights, which was trained on the same images
for 25 epochs. The script trains 19 models.

    python benchmarks/recipe_effects.py
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from keras_cct.errors import InputError
from keras_cct.recipe.loading import load_recipe
from keras_cct.recipe.recipe import Recipe

TEACHER = "fashion_mnist"
TEACHER_SEEDS, OTHER_SEEDS = 3, 2
NUM_AVERAGED = 3
OPTIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "--teacher (soft)": (TEACHER_SEEDS, {"teacher": TEACHER}),
    "--teacher --distillation-type hard": (TEACHER_SEEDS, {"teacher": TEACHER, "distillation_type": "hard"}),
    "--bce-loss": (OTHER_SEEDS, {"bce_loss": True}),
    "--bce-loss --lr 4e-3": (OTHER_SEEDS, {"bce_loss": True, "lr": 4e-3}),
    "--model-ema": (OTHER_SEEDS, {"model_ema": True}),
    "--model-ema --model-ema-warmup": (OTHER_SEEDS, {"model_ema": True, "model_ema_warmup": True}),
    "--opt muon": (OTHER_SEEDS, {"opt": "muon"}),
}
"""The number of seeds and the recipe keys of each row of the table."""


def main() -> int:
    """Trains all models and prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the effect of training options on the bundled sample.")
    parser.add_argument("--epochs", type=int, default=4, help="epochs per training (default %(default)s)")
    options = parser.parse_args()
    try:
        recipe = load_recipe("sample", epochs=options.epochs, warmup_epochs=1, checkpoint_hist=NUM_AVERAGED)
    except InputError as error:
        print(f"recipe_effects: {error}", file=sys.stderr)
        return 2
    print("| option | seeds | top-1 in %, mean (lowest .. highest) | without the option |\n|---|---|---|---|")
    without = [train(recipe, seed, averages=True) for seed in range(TEACHER_SEEDS)]
    plain, averaged = ([run[index] for run in without] for index in (0, 1))
    print_row(f"--average-best {NUM_AVERAGED}", averaged, plain)
    for label, (num_seeds, keys) in OPTIONS.items():
        print_row(label, [train(recipe, seed, **keys)[0] for seed in range(num_seeds)], plain)
    return 0


def print_row(label: str, accuracies: list[float], plain: list[float]) -> None:
    """Prints a row that compares accuracies with those of the same seeds without the option."""
    cells = (describe(values) for values in (accuracies, plain[: len(accuracies)]))
    print(f"| `{label}` | {len(accuracies)} | {' | '.join(cells)} |", flush=True)


def describe(values: list[float]) -> str:
    """Returns mean, lowest and highest value."""
    return f"{statistics.mean(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def train(recipe: Recipe, seed: int, averages: bool = False, **keys: Any) -> tuple[float, float]:
    """Trains one model.

    Args:
        recipe: The recipe of all models.
        seed: Its seed.
        averages: Whether to average the best checkpoints.
        **keys: Other keys of the recipe.

    Returns:
        The best top-1 accuracy in percent, and the larger one of it and that of the average.
    """
    from keras_cct.training.average import average_epochs, kept_epochs
    from keras_cct.training.folder import RunFolder
    from keras_cct.training.prepared_run import PreparedRun
    from keras_cct.training.training_loop import fit

    run = PreparedRun.prepare(dataclasses.replace(recipe, seed=seed, **keys))
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder.create(Path(path, "run"))
        best = max(row["eval_top1"] for row in fit(run, folder, log_wandb=False))
        if not averages:
            return best, best
        average = average_epochs(folder, run.recipe, run.eval_data, kept_epochs(folder, run.recipe))
        return best, max(best, average.average)


if __name__ == "__main__":
    sys.exit(main())
