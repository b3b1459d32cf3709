"""Leaves out the unreadable images of a folder, and warns of images that are in both splits."""

import logging
from typing import NamedTuple

import numpy as np

from keras_cct.data.sources.scan import LabeledFile
from keras_cct.data.survey import same_pixels, survey_files
from keras_cct.data.survey_index import Survey, SurveyIndex
from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MAX_NAMED_FILES = 5
MAX_UNREADABLE_FRACTION = 0.5


class ReadableFiles(NamedTuple):
    """Images that can be decoded, and their survey; None for datasets that are too large for one."""

    files: list[LabeledFile]
    survey: Survey | None


def drop_unreadable(
    files: list[LabeledFile], index: SurveyIndex | None = None, *, needs_all_classes: bool = True
) -> ReadableFiles:
    """Returns the files that can be decoded; the others are counted and named in one warning.

    Datasets that are too large for a survey are returned as they are.

    Args:
        files: Path and class of each image.
        index: Surveys of the same files in earlier processes. That of these files is added to it.
        needs_all_classes: Whether every class must keep an image; evaluation images may lack classes.

    Raises:
        InputError: More than half of the images, or all images of a class that needs one, cannot be read.
    """
    survey = survey_files([path for path, _ in files], index)
    if survey is None or survey.readable.all():
        return ReadableFiles(files, survey)
    readable = [pair for pair, is_readable in zip(files, survey.readable, strict=True) if is_readable]
    unreadable = [path for (path, _), is_readable in zip(files, survey.readable, strict=True) if not is_readable]
    listed = ", ".join(map(repr, unreadable[:MAX_NAMED_FILES])) + (", ..." if len(unreadable) > MAX_NAMED_FILES else "")
    if len(unreadable) > MAX_UNREADABLE_FRACTION * len(files):
        raise InputError(
            f"{len(unreadable)} of {len(files)} images cannot be read: {listed}. Repair or remove these files."
        )
    lost = {name for _, name in files} - {name for _, name in readable}
    if lost and needs_all_classes:
        raise InputError(
            f"no image of class {min(lost)!r} can be read: {listed}. Repair these files or remove the class."
        )
    log.warning("left out %d of %d images that cannot be read: %s", len(unreadable), len(files), listed)
    return ReadableFiles(readable, survey.rows(np.flatnonzero(survey.readable)))


def warn_about_duplicates(train: ReadableFiles, evaluation: ReadableFiles) -> None:
    """Logs a warning if evaluation images have the same pixels as training images, which makes them too easy."""
    if train.survey is None or evaluation.survey is None:
        return
    pairs = same_pixels(train.survey, evaluation.survey)
    if not pairs:
        return
    first, second = pairs[0]
    log.warning(
        "%d of %d evaluation images have the same pixels as a training image, e.g. %r and %r: the accuracy will look "
        "too good. Remove one of each pair",
        len(pairs),
        len(evaluation.files),
        evaluation.files[second][0],
        train.files[first][0],
    )
    changed = [(i, j) for i, j in pairs if train.files[i][1] != evaluation.files[j][1]]
    if changed:
        first, second = changed[0]
        log.warning(
            "%d of these pairs have different classes, e.g. %r and %r",
            len(changed),
            evaluation.files[second][0],
            train.files[first][0],
        )
