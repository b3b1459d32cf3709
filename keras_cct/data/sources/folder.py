"""Image folders: one folder per class, in a folder per split or split by a hash."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_cct.data.images import EncodedImages, ImageSet
from keras_cct.data.sources.cache import cache_if_small
from keras_cct.data.sources.labels import warn_about_empty_classes
from keras_cct.data.sources.readable import drop_unreadable, warn_about_duplicates
from keras_cct.data.sources.scan import LabeledFile, contains_images, natural_sort_key, scan_images
from keras_cct.data.sources.source import SPLIT_SYNONYMS, Source, find_split
from keras_cct.data.sources.split import divide_into_folds, hold_out, parse_split, read_split
from keras_cct.data.survey_index import SurveyIndex
from keras_cct.errors import InputError
from keras_cct.files import check_is_file, reading

log = logging.getLogger(__name__)

MAX_LISTED_FOLDERS = 8
MAX_CLASS_MAP_BYTES = 2**20
WHOLE = ("all", *SPLIT_SYNONYMS[0])
"""Names of all images of a folder without splits."""


def open_folder(
    source: Source, split_file: Path | None = None, index: SurveyIndex | None = None
) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a folder.

    Each split is a folder with one of the names in `SPLIT_SYNONYMS`, or a slice of one, and contains one folder per
    class, at any depth. In a folder without splits, or without one for evaluation, `val_fraction` of the images of each
    class are held out; with `folds`, those of one fold. Labels follow the natural order of the class names among the
    training images ("2" before "10"), or the order of `class_map`. Images are converted to RGB. Small splits of images
    with one size are cached in memory.

    With a class map, images of unlisted classes are left out and listed classes without training images are kept; both
    are logged as warnings. So are unreadable images, which are left out, and images that are in both splits.

    Args:
        source: `data_dir` is the path of the folder.
        split_file: File with the split of a run, which takes the place of everything that would determine it.
        index: Surveys of the same files in earlier processes. Those of these images are added to it.

    Raises:
        InputError: A split is missing, has no images or has a class without readable images; both splits share images;
            or the evaluation images have a class that the training images lack.
    """
    folder = Path(source.data_dir)
    train_files, eval_files = split_files(source) if split_file is None else read_split(split_file, folder)
    class_names = order_classes((name for _, name in train_files), source.class_map)
    if source.class_map:
        train_files = _drop_unlisted(train_files, class_names, folder, source.class_map)
        eval_files = _drop_unlisted(eval_files, class_names, folder, source.class_map)
    _, unknown = partition_by_class(eval_files, class_names)
    if unknown:
        path, name = unknown[0]
        raise InputError(
            f"class {name!r} of {path!r} has no training images in {str(folder)!r}. "
            "Add some, or leave the class out with class_map."
        )
    readable = drop_unreadable(train_files, index), drop_unreadable(eval_files, index, needs_all_classes=False)
    warn_about_duplicates(*readable)
    train, evaluation = (_encoded_images(files, class_names) for files, _ in readable)
    warn_about_empty_classes(train.labels, class_names, str(folder))
    return cache_if_small(train, readable[0].survey), cache_if_small(evaluation, readable[1].survey)


def open_evaluation_folder(source: Source) -> ImageSet:
    """Returns the evaluation images of a folder; all images if it has no splits.

    Args:
        source: `data_dir` is the path of the folder. `train_split` and `val_fraction` have no effect.

    Raises:
        InputError: The split is missing, or has no readable images.
    """
    files = evaluation_files(source)
    class_names = order_classes((name for _, name in files), source.class_map)
    if source.class_map:
        files = _drop_unlisted(files, class_names, Path(source.data_dir), source.class_map)
    files, survey = drop_unreadable(files, needs_all_classes=False)
    return cache_if_small(_encoded_images(files, class_names), survey)


def evaluation_files(source: Source) -> list[LabeledFile]:
    """Returns path and class of the evaluation images of a folder, without reading them; of all if it has no splits.

    Raises:
        InputError: The split is missing or empty.
    """
    folder = Path(source.data_dir)
    name, part = parse_split(source.val_split)
    present = _folders_in(folder)
    split_folder = _find_split_folder(folder, name, present)
    if split_folder is None:
        if name not in (*WHOLE, *SPLIT_SYNONYMS[1]) or _find_split_folder(folder, "train", present) is not None:
            raise _missing_split(folder, name, present)
        split_folder = folder
    files = scan_images(split_folder, source.label_depth)
    files = files if part is None else part.select(files, split_folder, source.seed)
    return _not_empty(files, source.val_split, split_folder)


def split_files(source: Source) -> tuple[list[LabeledFile], list[LabeledFile]]:
    """Returns path and class of the training and of the evaluation images of a folder, without reading them.

    Raises:
        InputError: As for `open_folder`, as far as it does not depend on the contents of the files.
    """
    folder = Path(source.data_dir)
    (train_name, train_part), (eval_name, eval_part) = map(parse_split, (source.train_split, source.val_split))
    if source.folds and (train_part or eval_part):
        part = source.train_split if train_part else source.val_split
        raise InputError(f"the slice {part!r} conflicts with folds={source.folds}. Leave one out.")
    present = _folders_in(folder)
    train_folder, eval_folder = (_find_split_folder(folder, name, present) for name in (train_name, eval_name))
    if train_folder is None and eval_folder is None and train_name in WHOLE:
        train_folder = folder
        eval_folder = folder if eval_name in WHOLE else None
    if train_folder is None:
        raise _missing_split(folder, train_name, present)
    if eval_folder is None:
        if eval_name not in SPLIT_SYNONYMS[1] or eval_part or train_part:
            raise _missing_split(folder, eval_name, present)
        return _hold_out(source, train_folder)
    if not (train_part and eval_part):
        _check_disjoint(train_folder, eval_folder)
    splits = []
    for split, split_folder, part in (
        (source.train_split, train_folder, train_part),
        (source.val_split, eval_folder, eval_part),
    ):
        files = scan_images(split_folder, source.label_depth)
        files = files if part is None else part.select(files, split_folder, source.seed)
        splits.append(_not_empty(files, split, split_folder))
    shared = set(splits[1]).intersection(splits[0])
    if shared:
        raise InputError(
            f"train_split={source.train_split!r} and val_split={source.val_split!r} share {len(shared)} images. Choose "
            "slices such as 'train[:80%]' and 'train[80%:]'."
        )
    return splits[0], splits[1]


def has_shared_folder(source: Source) -> bool:
    """Returns whether both splits of a folder are parts of one folder, so that only hashes tell them apart."""
    folder = Path(source.data_dir)
    present = _folders_in(folder)
    names = (parse_split(split)[0] for split in (source.train_split, source.val_split))
    train_folder, eval_folder = (_find_split_folder(folder, name, present) for name in names)
    return eval_folder is None or train_folder == eval_folder


def _hold_out(source: Source, folder: Path) -> tuple[list[LabeledFile], list[LabeledFile]]:
    files = scan_images(folder, source.label_depth)
    if source.folds:
        return divide_into_folds(files, folder, source.folds, source.fold, source.seed)
    if not source.val_fraction:
        raise InputError(
            f"{str(folder)!r} has no evaluation images and val_fraction is 0. Set val_fraction to 0.2, or move some "
            "images to validation/CLASS."
        )
    train, evaluation = hold_out(files, folder, source.val_fraction, source.seed)
    if not evaluation:
        raise InputError(
            f"no class in {str(folder)!r} has two images, one to train on and one to evaluate. Add images."
        )
    log.info(
        "%s has no evaluation images: %d of %d images are held out (val_fraction=%g)",
        folder,
        len(evaluation),
        len(files),
        source.val_fraction,
    )
    return train, evaluation


def _not_empty(files: list[LabeledFile], split: str, folder: Path) -> list[LabeledFile]:
    if not files:
        raise InputError(f"split {split!r} of {str(folder)!r} has no images. Choose a larger slice.")
    return files


def order_classes(names: Iterable[str], class_map: str) -> tuple[str, ...]:
    """Returns the class names in the order of their labels: that of the file `class_map`, or natural order without one.

    Raises:
        InputError: The file cannot be read, is empty or lists a class twice.
    """
    return read_classes(class_map) if class_map else tuple(sorted(set(names), key=natural_sort_key))


def read_classes(path: str, setting: str = "class_map") -> tuple[str, ...]:
    """Returns the lines of a text file, one class each.

    Args:
        path: The file.
        setting: What names it, for messages.

    Raises:
        InputError: The file cannot be read, is empty or lists a class twice.
    """
    advice = f"Set {setting} to a text file with one class per line."
    file = check_is_file(path, advice)
    if file.stat().st_size > MAX_CLASS_MAP_BYTES:
        raise InputError(f"{setting}={path!r} has more than {MAX_CLASS_MAP_BYTES:,} bytes. Use a text file.")
    with reading(path, "a text file in UTF-8", advice):
        listed = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not listed:
        raise InputError(f"{setting}={path!r} is empty. Write one class per line.")
    seen = set()
    for name in listed:
        if name in seen:
            raise InputError(f"{setting}={path!r} lists {name!r} twice. Write one class per line.")
        seen.add(name)
    return tuple(listed)


def partition_by_class(
    files: Sequence[tuple[str, str]], class_names: Sequence[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns the pairs of path and class whose class is listed, and the other pairs."""
    listed = set(class_names)
    return [pair for pair in files if pair[1] in listed], [pair for pair in files if pair[1] not in listed]


def _encoded_images(files: list[tuple[str, str]], class_names: tuple[str, ...]) -> EncodedImages:
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = np.array([label_of[name] for _, name in files], "int64")
    return EncodedImages([path for path, _ in files], labels, class_names)


def _folders_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"cannot read data_dir={str(folder)!r}: {error.strerror}. Use a folder of images that you can read."
        ) from error


def _find_split_folder(folder: Path, split: str, present: Sequence[str]) -> Path | None:
    name = find_split(split, present)
    if name is None and split and (folder / split).is_dir():
        name = split  # a path such as "images/train"
    if name is None or contains_images(folder / name):  # a class named "train", beside others
        return None
    return folder / name


def _missing_split(folder: Path, split: str, present: Sequence[str]) -> InputError:
    listed = ", ".join(present[:MAX_LISTED_FOLDERS]) + (", ..." if len(present) > MAX_LISTED_FOLDERS else "")
    expected = next(("|".join(names) for names in SPLIT_SYNONYMS if split in names), split)
    return InputError(
        f"data_dir={str(folder)!r} has no folder {expected!r} for the split {split!r}; its folders are: "
        f"{listed or '(none)'}. Move the images to train/CLASS and validation/CLASS, or set train_split and val_split."
    )


def _check_disjoint(train_folder: Path, eval_folder: Path) -> None:
    train, evaluation = (os.path.realpath(folder) for folder in (train_folder, eval_folder))
    if os.path.commonpath((train, evaluation)) in (train, evaluation):
        raise InputError(
            f"the training folder {str(train_folder)!r} and the evaluation folder {str(eval_folder)!r} share images: "
            "they are the same folder, or one contains the other. Set train_split and val_split to separate folders."
        )


def _drop_unlisted(
    files: list[tuple[str, str]], class_names: tuple[str, ...], folder: Path, class_map: str
) -> list[tuple[str, str]]:
    listed, dropped = partition_by_class(files, class_names)
    if not listed:
        raise InputError(
            f"class_map={class_map!r} lists none of the classes in {str(folder)!r}. Write one class folder per line."
        )
    if dropped:
        log.warning("left out %d images in %s whose class is not listed in %s", len(dropped), folder, class_map)
    return listed
