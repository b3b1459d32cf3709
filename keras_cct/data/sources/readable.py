"""Leaves out the unreadable images of a folder, and warns of images that are in both splits."""

import logging
from collections.abc import Sequence

from keras_cct.data.sources.scan import LabeledFile
from keras_cct.data.survey import same_pixels, survey_files
from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MAX_NAMED_FILES = 5
MAX_UNREADABLE_FRACTION = 0.5


def drop_unreadable(files: Sequence[LabeledFile]) -> list[LabeledFile]:
    """Returns the files that can be decoded; the others are counted and named in one warning.

    Datasets that are too large for a survey are returned as they are.

    Raises:
        InputError: More than half of the images, or all images of a class, cannot be read.
    """
    survey = survey_files([path for path, _ in files])
    if survey is None or survey.readable.all():
        return list(files)
    readable = [pair for pair, is_readable in zip(files, survey.readable, strict=True) if is_readable]
    unreadable = [path for (path, _), is_readable in zip(files, survey.readable, strict=True) if not is_readable]
    listed = ", ".join(map(repr, unreadable[:MAX_NAMED_FILES])) + (", ..." if len(unreadable) > MAX_NAMED_FILES else "")
    if len(unreadable) > MAX_UNREADABLE_FRACTION * len(files):
        raise InputError(
            f"{len(unreadable)} of {len(files)} images cannot be read: {listed}. Repair or remove these files."
        )
    lost = {name for _, name in files} - {name for _, name in readable}
    if lost:
        raise InputError(
            f"no image of class {min(lost)!r} can be read: {listed}. Repair these files or remove the class."
        )
    log.warning("left out %d of %d images that cannot be read: %s", len(unreadable), len(files), listed)
    return readable


def warn_about_duplicates(train_files: Sequence[LabeledFile], eval_files: Sequence[LabeledFile]) -> None:
    """Logs a warning if evaluation images have the same pixels as training images, which makes them too easy."""
    train, evaluation = (survey_files([path for path, _ in files]) for files in (train_files, eval_files))
    if train is None or evaluation is None:
        return
    pairs = same_pixels(train, evaluation)
    if not pairs:
        return
    first, second = pairs[0]
    log.warning(
        "%d of %d evaluation images have the same pixels as a training image, e.g. %r and %r: the accuracy will look "
        "too good. Remove one of each pair",
        len(pairs),
        len(eval_files),
        eval_files[second][0],
        train_files[first][0],
    )
    changed = [(i, j) for i, j in pairs if train_files[i][1] != eval_files[j][1]]
    if changed:
        first, second = changed[0]
        log.warning(
            "%d of these pairs have different classes, e.g. %r and %r",
            len(changed),
            eval_files[second][0],
            train_files[first][0],
        )
