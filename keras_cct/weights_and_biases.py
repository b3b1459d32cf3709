"""Metrics for Weights & Biases."""

from collections.abc import Callable

from keras_cct.errors import InputError
from keras_cct.run_folder import RunFolder
from keras_cct.run_state import Row


def check_wandb() -> None:
    """Raises InputError unless the library is there."""
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise InputError(
            "--log-wandb needs wandb, which is not installed. pip install wandb, or leave it out."
        ) from error


def wandb_writer(folder: RunFolder, settings: dict[str, object]) -> Callable[[Row], None]:
    """Returns a function that logs a row of summary.csv; runs of the same folder go on in the same place.

    Args:
        folder: The run folder, whose name is the run's.
        settings: The keys of the recipe.
    """
    import wandb

    name = folder.path.resolve().name
    run = wandb.init(project="keras_cct", name=name, id=name, resume="allow", config=settings, dir=folder.path)
    return lambda row: run.log(row, step=row["epoch"])
