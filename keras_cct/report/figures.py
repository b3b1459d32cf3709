"""The figures of an evaluation and of the curves of a run."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_cct.evaluation.calibration import THRESHOLDS, Reliability, accuracy_above
from keras_cct.evaluation.evaluate import Evaluation
from keras_cct.report.theme import BLUE, ORANGE, SERIES, TEXT, figure_style

SIZE = (4.6, 3.1)
"""Width and height in inches, for which texts are readable on a phone."""

MARKED_EPOCHS = 30
"""Curves of at most this many epochs have a marker per epoch."""

Curves = Mapping[str, Sequence[Mapping[str, float]]]
"""The rows of summary.csv of each run, by the name of the run."""


def draw_series(curves: Curves, columns: Mapping[str, str], ylabel: str) -> Figure:
    """Plots columns of summary.csv over the epochs.

    Args:
        curves: Rows of one or more runs. Each run and column has its own color.
        columns: Label of each column. Columns that a run does not have are left out.
        ylabel: Label of the vertical axis.
    """
    with figure_style(ylabel):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        colors = iter(SERIES * (1 + len(curves) * len(columns) // len(SERIES)))
        for run, rows in curves.items():
            for column, label in columns.items():
                points = [(row["epoch"], row[column]) for row in rows if column in row]
                if not points:
                    continue
                marker = "o" if len(points) <= MARKED_EPOCHS else None
                name = ", ".join(part for part in (run, label) if part)
                axes.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=3, color=next(colors))
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(axes.lines) > 1:
            axes.legend()
    return figure


def draw_reliability(evaluation: Evaluation) -> Figure:
    """Plots the accuracy of the predictions in bins of their confidence, and the share of images per bin."""
    reliability: Reliability = evaluation.reliability
    width = np.diff(reliability.edges)
    filled = reliability.counts > 0
    left = reliability.edges[:-1][filled]
    with figure_style("reliability"):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.bar(
            100 * left,
            100 * reliability.accuracy[filled],
            100 * width[filled],
            align="edge",
            color=BLUE,
            alpha=0.75,
            label="accuracy",
        )
        shares = 100 * reliability.counts[filled] / reliability.counts.sum()
        axes.step(
            100 * np.append(left, left[-1] + width[-1]),
            np.append(shares, shares[-1]),
            where="post",
            color=ORANGE,
            label="share of the images",
        )
        axes.plot([0, 100], [0, 100], color=TEXT, linestyle="--", linewidth=1, label="perfect calibration")
        axes.set(xlabel="confidence in %", ylabel="%", xlim=(0, 100), ylim=(0, 100))
        axes.legend(loc="upper left")
    return figure


def draw_accuracy_above(evaluation: Evaluation) -> Figure:
    """Plots the accuracy of the images above a confidence threshold, and their share."""
    accuracy, share = accuracy_above(evaluation.labels, evaluation.probabilities)
    with figure_style("accuracy above"):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.plot(100 * THRESHOLDS, 100 * accuracy, color=BLUE, label="accuracy of these images")
        axes.plot(100 * THRESHOLDS, 100 * share, color=ORANGE, label="share of the images")
        axes.set(xlabel="confidence at least, in %", ylabel="%", xlim=(0, 100), ylim=(0, 101))
        axes.legend(loc="lower left")
    return figure


def draw_mistakes(evaluation: Evaluation) -> Figure:
    """Arranges the most confident mistakes in a contact sheet, with label, prediction and confidence."""
    names, mistakes = evaluation.class_names, evaluation.mistakes
    num_columns = min(4, max(1, len(mistakes)))
    num_rows = max(1, -(-len(mistakes) // num_columns))
    with figure_style("mistakes"):
        figure = Figure(figsize=(2.1 * num_columns, 2.5 * num_rows), layout="constrained")
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, mistake in zip(grid.flat, mistakes, strict=False):
            _show_image(axes, mistake.pixels)
            label, prediction = (shorten(names[index], 24) for index in (mistake.label, mistake.prediction))
            axes.set_title(f"{label}\nas {prediction}, {100 * mistake.confidence:.0f} %", fontsize=8)
    return figure


def shorten(name: str, length: int) -> str:
    """Returns a name of at most `length` characters, its end replaced by an ellipsis if it is longer."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _show_image(axes: Axes, pixels: np.ndarray) -> None:
    if pixels.shape[-1] == 3:
        axes.imshow(pixels, interpolation="nearest")
    else:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
