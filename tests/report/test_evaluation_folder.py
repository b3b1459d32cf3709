import numpy as np
import pytest
from PIL import Image

import keras_cct
from keras_cct.evaluation import files
from keras_cct.evaluation.evaluate import Evaluation, Mistake
from keras_cct.report import evaluation_folder
from keras_cct.report.confusion_figure import draw_confusion
from keras_cct.report.evaluation_folder import write_evaluation_folder


def evaluation_of(num_classes: int, num_images: int = 60, channels: int = 1) -> Evaluation:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, num_images)
    probabilities = rng.dirichlet(np.ones(num_classes), num_images).astype("float32")
    mistake = Mistake(3, rng.integers(0, 256, (8, 8, channels), dtype="uint8"), 0, 1, 0.9)
    return Evaluation(tuple(f"class {i}" for i in range(num_classes)), labels, probabilities, (mistake,), 100.0)


def test_folder_holds_numbers_and_pictures(tmp_path):
    folder = write_evaluation_folder(evaluation_of(3, channels=3), tmp_path / "new" / "report")
    names = sorted(path.name for path in folder.iterdir())
    pictures = ["confidence.png", "confusion.png", "mistakes.png", "reliability.png"]
    assert names == sorted([*pictures, "metrics.json", "per_class.csv", "confusion.csv"])
    for name in pictures:
        with Image.open(folder / name) as image:
            assert image.width > 200
            assert len(image.convert("L").getcolors()) > 5  # something is drawn
    with pytest.raises(keras_cct.InputError, match="exists already"):
        write_evaluation_folder(evaluation_of(3), folder)


def test_a_confusion_matrix_of_too_many_classes_is_left_out(monkeypatch, tmp_path):
    for module in (files, evaluation_folder):
        monkeypatch.setattr(module, "MAX_CONFUSION_CLASSES", 2)
    folder = write_evaluation_folder(evaluation_of(3), tmp_path / "report")
    assert (folder / "per_class.csv").is_file()
    assert not list(folder.glob("confusion.*"))


@pytest.mark.parametrize(("num_classes", "num_named"), [(2, 2), (40, 40), (300, 0)])
def test_confusion_figure_names_its_classes_up_to_a_limit(num_classes, num_named):
    figure = draw_confusion(evaluation_of(num_classes))
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sum(label.startswith("class ") for label in labels) == num_named
    assert max(figure.get_size_inches()) <= 8.5
    cells = axes.images[0].get_array()
    assert len(cells) == (num_classes if num_classes <= 100 else 100)
    annotated = sum(bool(text.get_text()) for text in axes.texts)
    assert annotated == (4 if num_classes == 2 else 0)


def test_a_block_of_cells_shows_its_largest_rate():
    evaluation = evaluation_of(300, num_images=4000)
    (axes,) = draw_confusion(evaluation).axes
    wrong = np.array(axes.images[1].get_array())
    counts = evaluation.confusion
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(rates, 0)
    assert wrong[10, 20] == pytest.approx(rates[30:33, 60:63].max() ** 0.6)
