"""Trains ViT-Lite-2/4, CVT-2/4 and CCT-2/3x2 on all of Fashion-MNIST with the same recipe.

Writes the accuracies after the last epoch on the 10,000 test images, in float32, to `results/fashion_mnist.json`;
`tools/make_benchmark_tables.py` writes the table. The runs stay in `runs/fashion_mnist`; after an interruption, the
current one continues. That of CCT-2/3x2 took 75 minutes on two CPU cores with bfloat16 instructions.

    python benchmarks/fashion_mnist.py /usr/share/datasets/fashion-mnist
"""

import argparse
from pathlib import Path

from small_data import MODELS
from trainings import train_missing

import keras_cct
from keras_cct.report.run_record import RunRecord

RECIPE = "cct_2-3x2_fashion_mnist"
RUNS = Path("runs", "fashion_mnist")


def main() -> None:
    """Runs the missing trainings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data_dir", help="folder with the four IDX files")
    data_dir = parser.parse_args().data_dir
    recipe = keras_cct.load_recipe(RECIPE)
    trainings = [{"model": model, "epochs": recipe.epochs, "seed": recipe.seed} for model in MODELS]
    train_missing("fashion_mnist", trainings, lambda **keys: train(data_dir, **keys))


def train(data_dir: str, **keys: str | int) -> float:
    """Trains one model, or continues its run, and returns its top-1 accuracy after the last epoch in percent."""
    path = RUNS / f"{keys['model']}-{keys['epochs']}epochs"
    recipe = keras_cct.load_recipe(RECIPE, data_dir=data_dir, **keys)
    if not path.exists():
        keras_cct.train(recipe, path)
    elif len(RunRecord.read(path).rows) < keys["epochs"]:
        keras_cct.resume(path)
    return keras_cct.evaluate(keras_cct.load_predictor(path / "last.keras"), keras_cct.open_data(recipe)[1]).top1


if __name__ == "__main__":
    main()
