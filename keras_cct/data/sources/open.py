"""Opens the images and labels of a recipe or of a named source."""

import dataclasses
from pathlib import Path

from keras_cct.data.images import ImageSet
from keras_cct.data.sample import load_sample
from keras_cct.data.sources.arrays import open_npz
from keras_cct.data.sources.folder import has_shared_folder, open_evaluation_folder, open_folder
from keras_cct.data.sources.idx import has_idx_files, open_idx
from keras_cct.data.sources.keras_datasets import KERAS_DATASETS, open_keras_dataset
from keras_cct.data.sources.source import Source, check_default_splits
from keras_cct.data.sources.tfds import open_tfds
from keras_cct.data.survey_index import SurveyIndex
from keras_cct.errors import InputError, check_instance
from keras_cct.facts.datasets import DATASETS, standard_name
from keras_cct.recipe.recipe import Recipe

SOURCE_KEYS = tuple(field.name for field in dataclasses.fields(Source))


def open_data(
    recipe: Recipe, split_file: Path | None = None, index: SurveyIndex | None = None
) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a recipe.

    Args:
        recipe: The recipe.
        split_file: For a folder of images: file with the split of a run, if the run has one.
        index: For a folder of images: surveys of the same files in earlier processes, which are not read again unless
            they have changed. Those of these images are added to it.

    Raises:
        InputError: The source is unknown or cannot be read, it has one class, or its number of classes differs from
            the recipe's.
    """
    check_instance("recipe", recipe, Recipe, "a Recipe")
    train, evaluation = open_source(recipe_source(recipe), split_file, index)
    num_classes = len(train.class_names)
    if num_classes < 2:
        raise InputError(
            f"all images of {recipe.data_dir or recipe.dataset!r} have the class {train.class_names[0]!r}. "
            f"A classifier needs two classes or more, one folder per class."
        )
    if recipe.num_classes not in (0, num_classes):
        raise InputError(
            f"num_classes={recipe.num_classes}, but the images have {num_classes} classes. "
            f"Set num_classes to {num_classes}, or to 0 to use the number of classes of the images."
        )
    return train, evaluation


def recipe_source(recipe: Recipe) -> Source:
    """Returns the source of a recipe's images."""
    source = Source(**{key: getattr(recipe, key) for key in SOURCE_KEYS})
    return source if recipe.split_seed < 0 else dataclasses.replace(source, seed=recipe.split_seed)


def divides_one_folder(source: Source) -> bool:
    """Returns whether the training and the evaluation images are parts of one folder: held out, or slices."""
    return _is_image_folder(source) and has_shared_folder(source)


def check_folds(source: Source) -> None:
    """Checks that the images of a source can be divided into its `folds`.

    Raises:
        InputError: The source has fixed splits.
    """
    if source.folds and Path(source.data_dir).exists() and not divides_one_folder(source):
        raise InputError(
            f"folds={source.folds} needs a folder with one folder per class and no splits, but "
            f"{source.data_dir or source.dataset!r} has fixed splits. Leave folds out."
        )


def open_evaluation(source: Source) -> ImageSet:
    """Returns the evaluation images of a source: all images of a folder without splits.

    Raises:
        InputError: The source is unknown or cannot be read.
    """
    return open_evaluation_folder(source) if _is_image_folder(source) else open_source(source)[1]


def open_source(
    source: Source, split_file: Path | None = None, index: SurveyIndex | None = None
) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a source.

    Args:
        source: The source.
        split_file: For a folder of images: file with the split of a run, if the run has one.
        index: For a folder of images: surveys of the same files in earlier processes, which are not read again unless
            they have changed. Those of these images are added to it.

    Raises:
        InputError: The source is unknown or cannot be read.
    """
    if source.fold > source.folds or (source.folds and not source.fold):
        if not source.folds:
            raise InputError(f"fold={source.fold} has no effect without folds. Set folds as well.")
        raise InputError(f"fold must be in [1, {source.folds}] with folds={source.folds}, got {source.fold}.")
    check_folds(source)
    if source.dataset.startswith("tfds/"):
        return open_tfds(source)
    if source.dataset.startswith("keras/"):
        return open_keras_dataset(source)
    if source.data_dir:
        return _open_path(source, split_file, index)
    if source.dataset == "sample":
        check_default_splits(source)
        return load_sample("train"), load_sample("test")
    if standard_name(source.dataset) in DATASETS:
        return open_tfds(source)
    raise InputError(
        f"unknown dataset {source.dataset!r}, and no such file or folder. Choose sample, {', '.join(DATASETS)}, "
        f"tfds/NAME or keras/{'|'.join(KERAS_DATASETS)}, or set data_dir to a folder of images, a folder of IDX files "
        "or an .npz file."
    )


def _is_image_folder(source: Source) -> bool:
    path = Path(source.data_dir)
    is_named = source.dataset.startswith(("tfds/", "keras/"))
    return bool(source.data_dir) and not is_named and path.is_dir() and not has_idx_files(path)


def _open_path(source: Source, split_file: Path | None, index: SurveyIndex | None) -> tuple[ImageSet, ImageSet]:
    path = Path(source.data_dir)
    if path.suffix == ".npz" and path.is_file():
        return open_npz(source)
    if not path.is_dir():
        problem = "is neither a folder nor an .npz file" if path.exists() else "does not exist"
        raise InputError(
            f"data_dir={source.data_dir!r} {problem}. Use a folder of images, a folder of IDX files or an .npz file."
        )
    return open_idx(source) if has_idx_files(path) else open_folder(source, split_file, index)
