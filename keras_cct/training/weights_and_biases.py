"""Metrics for Weights & Biases."""

import uuid
from collections.abc import Callable

from keras_cct.atomic import replacing
from keras_cct.errors import InputError
from keras_cct.training.run_folder import RunFolder
from keras_cct.training.run_state import Row


def check_wandb() -> None:
    """Raises InputError unless the library is there."""
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise InputError(
            "--log-wandb needs wandb, which is not installed. pip install wandb, or leave it out."
        ) from error


def wandb_writer(folder: RunFolder, settings: dict[str, object]) -> Callable[[Row], None]:
    """Returns a function that logs a row of summary.csv; a run that goes on in its folder goes on there, too.

    Args:
        folder: The run folder, whose name is the run's.
        settings: The keys of the recipe.
    """
    import wandb

    if not folder.wandb_id.exists():
        with replacing(folder.wandb_id) as temporary:
            temporary.write_text(uuid.uuid4().hex)
    run = wandb.init(
        project="keras_cct",
        name=folder.path.resolve().name,
        id=folder.wandb_id.read_text(),
        resume="allow",
        config=settings,
        dir=folder.path,
    )
    return lambda row: run.log(row, step=row["epoch"])
