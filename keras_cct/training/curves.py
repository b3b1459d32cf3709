"""The picture of a run's metrics."""

from collections.abc import Mapping
from pathlib import Path

from keras_cct.atomic import replacing


def draw_curves(rows: list[Mapping[str, float]], title: str, path: Path) -> None:
    """Draws loss and accuracy over the epochs.

    Args:
        rows: The rows of summary.csv, one per epoch.
        title: Heading of the picture.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] + 1 for row in rows]
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    figure.suptitle(title)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for column, label in (("train_loss", "training, smoothed targets"), ("eval_loss", "evaluation")):
        loss_axes.plot(epochs, [row[column] for row in rows], marker=".", label=label)
    loss_axes.set(xlabel="epoch", ylabel="cross-entropy")
    best = max(rows, key=lambda row: row["eval_top1"])
    accuracy_axes.plot(epochs, [row["eval_top1"] for row in rows], marker=".", label="top-1")
    accuracy_axes.plot(epochs, [row["eval_top5"] for row in rows], marker=".", label="top-5")
    accuracy_axes.axhline(
        best["eval_top1"],
        color="grey",
        linewidth=0.8,
        label=f"best top-1: {best['eval_top1']:.1f} % in epoch {best['epoch'] + 1}",
    )
    accuracy_axes.set(xlabel="epoch", ylabel="evaluation accuracy in %")
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary)
