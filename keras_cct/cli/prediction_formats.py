"""Output formats of `keras_cct predict`, all written incrementally."""

import csv
import json
from collections.abc import Callable, Iterable
from typing import TextIO

from keras_cct.errors import printable
from keras_cct.inference.prediction import Prediction


def write_text(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Writes one line per image, followed by one line per class."""
    for prediction in predictions:
        stream.write(f"{printable(prediction.path)}\n")
        for name, probability in prediction.classes:
            stream.write(f"  {100 * probability:6.2f} %  {printable(name)}\n")


def write_json_lines(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Writes one JSON object per line."""
    for prediction in predictions:
        stream.write(f"{_to_json(prediction)}\n")


def write_json(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Writes one JSON array of objects."""
    separator = "[\n"
    for prediction in predictions:
        stream.write(f"{separator}{_to_json(prediction)}")
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_csv(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Writes one row per image and class, with a header."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("path", "rank", "class", "probability"))
    for prediction in predictions:
        for rank, (name, probability) in enumerate(prediction.classes, start=1):
            writer.writerow((prediction.path, rank, name, f"{probability:.6g}"))


def _to_json(prediction: Prediction) -> str:
    classes = [{"class": name, "probability": float(f"{value:.6g}")} for name, value in prediction.classes]
    return json.dumps({"path": prediction.path, "classes": classes}, ensure_ascii=False)


WRITERS: dict[str, Callable[[Iterable[Prediction], TextIO], None]] = {
    "text": write_text,
    "json": write_json,
    "csv": write_csv,
    "jsonl": write_json_lines,
}
"""Writer function for each output format."""
