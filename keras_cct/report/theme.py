"""Colors and sizes of all figures, and their conversion to SVG that adapts to light and dark pages."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GRAY = "#3b82f6", "#e8890c", "#10a37f", "#e5484d", "#8b929c"
SERIES = (BLUE, ORANGE, GREEN, "#a855f7", RED, "#06a3c4", "#c2a300", "#d6409f")
"""Colors that are readable on white and on dark gray, in the order in which they are used."""

CORRECT = LinearSegmentedColormap.from_list("correct", [(0.15, 0.39, 0.92, 0.0), (0.15, 0.39, 0.92, 1.0)])
WRONG = LinearSegmentedColormap.from_list("wrong", [(0.85, 0.22, 0.1, 0.0), (0.85, 0.22, 0.1, 1.0)])
"""Color maps from transparent to opaque, for the diagonal of a confusion matrix and for the rest of it."""

TEXT = "#010203"
"""Color of texts and axes; in SVG it becomes the text color of the page."""

_SETTINGS = {
    "axes.edgecolor": TEXT,
    "axes.grid": True,
    "axes.labelcolor": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": GRAY,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "text.color": TEXT,
    "text.parse_math": False,  # names of classes may contain dollar signs
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}
_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
DOTS_PER_INCH = 150


@contextlib.contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Applies the style of reports to the figures that are created or rendered in the block.

    Args:
        name: Name of the figure, different for each figure of a page: SVG identifiers derive from it.
    """
    settings: Any = {**_SETTINGS, "svg.hashsalt": name}
    with rc_context(settings):
        yield


def to_svg(figure: Figure, name: str) -> str:
    """Returns a figure as an SVG element with a transparent background and the text color of the page.

    Args:
        figure: The figure.
        name: Name of the figure, as for `figure_style`.
    """
    stream = io.StringIO()
    with figure_style(name):
        figure.savefig(stream, format="svg", transparent=True, metadata=_METADATA)
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(TEXT, "currentColor")
