"""Opens the images and labels of a recipe or of a named source."""

from pathlib import Path

from keras_cct.data.images import ImageSet
from keras_cct.data.sample import load_sample
from keras_cct.data.sources.arrays import open_npz
from keras_cct.data.sources.folder import open_folder
from keras_cct.data.sources.idx import has_idx_files, open_idx
from keras_cct.data.sources.keras_datasets import KERAS_DATASETS, open_keras_dataset
from keras_cct.data.sources.source import Source, check_default_splits
from keras_cct.data.sources.tfds import open_tfds
from keras_cct.errors import InputError, check_instance
from keras_cct.facts.datasets import DATASETS, standard_name
from keras_cct.recipe.recipe import Recipe


def open_data(recipe: Recipe) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a recipe.

    Raises:
        InputError: The source is unknown or cannot be read, or its number of classes differs from the recipe's.
    """
    check_instance("recipe", recipe, Recipe, "a Recipe")
    keys = ("dataset", "data_dir", "class_map", "train_split", "val_split")
    train, evaluation = open_source(Source(**{key: getattr(recipe, key) for key in keys}))
    num_classes = len(train.class_names)
    if recipe.num_classes not in (0, num_classes):
        raise InputError(
            f"num_classes={recipe.num_classes}, but the images have {num_classes} classes. "
            f"Set num_classes to {num_classes}, or to 0 to use the number of classes of the images."
        )
    return train, evaluation


def open_source(source: Source) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a source.

    Raises:
        InputError: The source is unknown or cannot be read.
    """
    if source.dataset.startswith("tfds/"):
        return open_tfds(source)
    if source.dataset.startswith("keras/"):
        return open_keras_dataset(source)
    if source.data_dir:
        return _open_path(source)
    if source.dataset == "sample":
        check_default_splits(source)
        return load_sample("train"), load_sample("test")
    if standard_name(source.dataset) in DATASETS:
        return open_tfds(source)
    raise InputError(
        f"unknown dataset {source.dataset!r}. Choose sample, {', '.join(DATASETS)}, "
        f"tfds/NAME or keras/{'|'.join(KERAS_DATASETS)}, or set data_dir to a folder of images, a folder of IDX files "
        "or an .npz file."
    )


def _open_path(source: Source) -> tuple[ImageSet, ImageSet]:
    path = Path(source.data_dir)
    if path.suffix == ".npz" and path.is_file():
        return open_npz(source)
    if not path.is_dir():
        problem = "is neither a folder nor an .npz file" if path.exists() else "does not exist"
        raise InputError(
            f"data_dir={source.data_dir!r} {problem}. Use a folder of images, a folder of IDX files or an .npz file."
        )
    return open_idx(source) if has_idx_files(path) else open_folder(source)
