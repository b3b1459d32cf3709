"""The figure of a confusion matrix, readable from 2 to 1,000 classes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_cct.evaluation.evaluate import Evaluation
from keras_cct.evaluation.metrics import normalize_rows
from keras_cct.report.figures import shorten
from keras_cct.report.theme import CORRECT, TEXT, WRONG, figure_style

MAX_COUNTED, MAX_ANNOTATED, MAX_NAMED, MAX_CELLS = 12, 26, 50, 100
"""Largest numbers of classes with counts in the cells, with percentages in them, with names, and with a cell each."""

_GAMMA = 0.6
"""Exponent of the opacity: below 1, so that rare mistakes are visible."""


def draw_confusion(evaluation: Evaluation) -> Figure:
    """Draws the normalized confusion matrix: the diagonal in blue, mistakes in red.

    Few classes have their percentages, and counts, in the cells. With more than `MAX_CELLS` classes, a cell stands for
    a block of consecutive classes and shows the largest rate in it.
    """
    counts, names = evaluation.confusion, evaluation.class_names
    rates = normalize_rows(counts)
    num_classes = len(names)
    side = float(np.clip(1.6 + 0.42 * num_classes, 3.6, 8.5 if num_classes <= MAX_NAMED else 6.5))
    with figure_style("confusion"):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=False)
        block = -(-num_classes // MAX_CELLS) if num_classes > MAX_CELLS else 1
        is_diagonal = np.eye(num_classes, dtype=bool)
        for shown, colors in ((np.where(is_diagonal, rates, 0), CORRECT), (np.where(is_diagonal, 0, rates), WRONG)):
            cells = _block_maxima(shown, block) ** _GAMMA
            extent = (-0.5, num_classes - 0.5, num_classes - 0.5, -0.5)
            axes.imshow(cells, cmap=colors, vmin=0, vmax=1, interpolation="nearest", extent=extent)
        _label_axes(axes, names, block)
        if num_classes <= MAX_ANNOTATED:
            _annotate(axes, counts, rates)
    return figure


def _block_maxima(rates: np.ndarray, block: int) -> np.ndarray:
    if block == 1:
        return rates
    starts = np.arange(0, len(rates), block)
    return np.maximum.reduceat(np.maximum.reduceat(rates, starts, axis=0), starts, axis=1)


def _label_axes(axes: Axes, names: tuple[str, ...], block: int) -> None:
    note = f" (cells of {block}x{block} classes)" if block > 1 else ""
    if len(names) <= MAX_NAMED:
        shown = [shorten(name, 18) for name in names]
        size = 9 if len(names) <= MAX_ANNOTATED else 7
        is_short = max(map(len, shown)) * len(shown) <= 40
        axes.set_xticks(range(len(names)), shown, rotation=0 if is_short else 90, fontsize=size)
        axes.set_yticks(range(len(names)), shown, fontsize=size)
    elif block > 1:
        note = f", by class index{note}"
    else:
        note = ", by class index"
    axes.set(xlabel="prediction", ylabel=f"label{note}")
    axes.tick_params(length=0 if len(names) <= MAX_NAMED else 3)


def _annotate(axes: Axes, counts: np.ndarray, rates: np.ndarray) -> None:
    num_classes = len(counts)
    size = 8 if num_classes <= MAX_COUNTED else 6
    for (row, column), count in np.ndenumerate(counts):
        if not count:
            continue
        rate = 100 * rates[row, column]
        text = f"{rate:.0f}" if rate >= 0.5 else "<1"
        if num_classes <= MAX_COUNTED:
            text = f"{text} %\n{count}"
        color = "white" if rates[row, column] ** _GAMMA > 0.7 else TEXT
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color, linespacing=1.1)
