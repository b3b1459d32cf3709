"""Writes an evaluation as a folder of numbers and pictures."""

from os import PathLike
from pathlib import Path

from matplotlib.figure import Figure

from keras_cct.errors import InputError
from keras_cct.evaluation.evaluate import Evaluation
from keras_cct.evaluation.files import MAX_CONFUSION_CLASSES, write_evaluation
from keras_cct.files import replacing
from keras_cct.report.confusion_figure import draw_confusion
from keras_cct.report.figures import draw_accuracy_above, draw_mistakes, draw_reliability
from keras_cct.report.theme import DOTS_PER_INCH, figure_style


def write_evaluation_folder(evaluation: Evaluation, path: str | PathLike) -> Path:
    """Writes metrics.json, per_class.csv, confusion.csv and four pictures.

    The pictures are confusion.png, reliability.png, confidence.png (accuracy against confidence) and mistakes.png (a
    contact sheet of the most confident mistakes). The confusion matrix of more than 5,000 classes is left out.

    Args:
        evaluation: The evaluation.
        path: New folder.

    Returns:
        The path of the folder.

    Raises:
        InputError: The folder exists.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{str(path)!r} exists already. Remove it or choose another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figure] = {
        "reliability": draw_reliability(evaluation),
        "confidence": draw_accuracy_above(evaluation),
        "mistakes": draw_mistakes(evaluation),
    }
    if len(evaluation.class_names) <= MAX_CONFUSION_CLASSES:
        figures["confusion"] = draw_confusion(evaluation)
    with replacing(path) as temporary:
        temporary.mkdir()
        write_evaluation(evaluation, temporary)
        for name, figure in figures.items():
            with figure_style(name):
                figure.savefig(temporary / f"{name}.png", dpi=DOTS_PER_INCH)
    return path
