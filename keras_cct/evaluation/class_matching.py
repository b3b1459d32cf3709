"""Matches the classes of a dataset to those of a model: by a label map, by name, or by index."""

import csv
import logging
from collections.abc import Mapping
from os import PathLike

import numpy as np

from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

log = logging.getLogger(__name__)

MAX_SHOWN_NAMES = 5
_LINE = "Write one line per class of the dataset: its name, a comma, the name of the model's class."


def read_label_map(path: str | PathLike) -> dict[str, str]:
    """Reads a label map: a CSV file without a header, with one pair of names per line.

    Args:
        path: The file. Each line contains a class of the dataset and the class of the model that it belongs to.

    Returns:
        The class of the model for each class of the dataset.

    Raises:
        InputError: The file does not exist, is not CSV with two columns, or lists a class twice.
    """
    check_is_file(path, _LINE)
    label_map: dict[str, str] = {}
    with reading(path, "a label map", _LINE), open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123
        for number, row in enumerate(csv.reader(file, strict=True), start=1):
            if not row:
                continue
            if len(row) != 2:
                raise InputError(f"line {number} of {str(path)!r} has {len(row)} columns, not 2. {_LINE}")
            name, model_name = (cell.strip() for cell in row)
            if name in label_map:
                raise InputError(f"line {number} of {str(path)!r} lists {name!r} again. List each class once.")
            label_map[name] = model_name
    return label_map


def match_classes(
    model_names: tuple[str, ...] | None, data_names: tuple[str, ...], label_map: Mapping[str, str] | None = None
) -> np.ndarray:
    """Returns the index of each class of the data among the classes of the model.

    Args:
        model_names: Names of the model's classes, or None if they are unknown.
        data_names: Names of the dataset's classes.
        label_map: The class of the model for each class of the dataset. Several classes may map to the same one, and
            classes of the model may be left out. Without it, classes are matched by name; if either side has no names
            (only the indices "0", "1", ...), or if they have no name in common, by index. Classes of the model may have
            no images.

    Raises:
        InputError: The label map lacks a class or names an unknown one; or, without a label map, the number of classes
            differs or the model does not know all names of the data.
    """
    if label_map is not None:
        return _map_classes(model_names, data_names, label_map)
    by_index = np.arange(len(data_names))
    if model_names is None:
        return by_index
    if set(data_names) <= set(model_names):  # not every class of the model needs images
        index_of = {name: index for index, name in enumerate(model_names)}
        return np.array([index_of[name] for name in data_names])
    if set(model_names) & set(data_names):
        others = _show_names(model_names, data_names)
        instead = f", which has {others} instead" if others else ""
        raise InputError(
            f"the classes {_show_names(data_names, model_names)} of the dataset are unknown to the model{instead}. "
            f"Rename the classes of the dataset, or pass a label map."
        )
    check_num_classes(len(model_names), len(data_names))
    if not are_indices(data_names) and not are_indices(model_names):
        log.warning(
            "the dataset (%s, ...) and the model (%s, ...) have no class name in common; matching classes by index",
            data_names[0],
            model_names[0],
        )
    return by_index


def _map_classes(
    model_names: tuple[str, ...] | None, data_names: tuple[str, ...], label_map: Mapping[str, str]
) -> np.ndarray:
    if model_names is None:
        raise InputError("the model has no class names, so a label map has no effect. Store them with the model first.")
    unlisted = set(data_names) - set(label_map)
    if unlisted:
        raise InputError(
            f"the label map lacks the classes {_show_names(data_names, tuple(label_map))} of the dataset. Add them."
        )
    index_of = {name: index for index, name in enumerate(model_names)}
    unknown = tuple(label_map[name] for name in data_names if label_map[name] not in index_of)
    if unknown:
        raise InputError(
            f"the label map names {_show_names(unknown, ())}, which the model does not have. "
            f"Use the model's class names, such as {_show_names(model_names, ())}."
        )
    return np.array([index_of[label_map[name]] for name in data_names])


def check_num_classes(model_classes: int, data_classes: int) -> None:
    """Raises InputError unless the model and the dataset have the same number of classes."""
    if model_classes != data_classes:
        raise InputError(
            f"the model has {model_classes} classes, but the dataset has {data_classes}. "
            f"Use another model or dataset, or pass a label map."
        )


def are_indices(names: tuple[str, ...]) -> bool:
    """Returns whether class names are only indices, such as "0", "1"."""
    return all(name.isdecimal() for name in names)


def _show_names(names: tuple[str, ...], others: tuple[str, ...]) -> str:
    """Returns the names that are not among the others, at most `MAX_SHOWN_NAMES`."""
    known = set(others)
    missing = [repr(name) for name in names if name not in known]
    rest = len(missing) - MAX_SHOWN_NAMES
    return ", ".join(missing[:MAX_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")
