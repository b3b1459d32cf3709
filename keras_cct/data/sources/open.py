"""From a recipe, or the name of a source, to images and labels."""

from pathlib import Path

from keras_cct.data.images import ImageSet
from keras_cct.data.sample import load_sample
from keras_cct.data.sources.arrays import open_npz
from keras_cct.data.sources.folder import open_folder
from keras_cct.data.sources.idx import holds_idx_files, open_idx
from keras_cct.data.sources.keras_datasets import NAMES as KERAS_NAMES
from keras_cct.data.sources.keras_datasets import open_keras_set
from keras_cct.data.sources.source import Source
from keras_cct.data.sources.tfds import NAMES as TFDS_NAMES
from keras_cct.data.sources.tfds import open_tfds
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe


def open_data(recipe: Recipe) -> tuple[ImageSet, ImageSet]:
    """Returns the training and the evaluation images of a recipe.

    Raises:
        InputError: The source is unknown or cannot be read, or has another number of classes than the recipe.
    """
    keys = ("dataset", "data_dir", "class_map", "train_split", "val_split")
    train, evaluation = open_source(Source(**{key: getattr(recipe, key) for key in keys}))
    num_classes = len(train.class_names)
    if recipe.num_classes not in (0, num_classes):
        raise InputError(
            f"num_classes={recipe.num_classes}, but the images have {num_classes} classes. "
            f"Set num_classes to {num_classes}, or to 0 for that of the images."
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
        return open_keras_set(source)
    if source.data_dir:
        return _open_path(source)
    if source.dataset == "sample":
        return load_sample("train"), load_sample("test")
    if source.dataset in TFDS_NAMES:
        return open_tfds(source)
    raise InputError(
        f"dataset={source.dataset!r} is unknown. Choose sample, {', '.join(TFDS_NAMES)}, tfds/NAME, "
        f"keras/{'|'.join(KERAS_NAMES)}, or give a data_dir: a folder of images or of IDX files, or an .npz file."
    )


def source_named(name: str) -> Source:
    """Returns the source for a name that is a path, where there is such a file or folder, or else a data set."""
    is_path = Path(name).exists() or ("/" in name and not name.startswith(("tfds/", "keras/")))
    return Source(Path(name).name, data_dir=name) if is_path else Source(name)


def _open_path(source: Source) -> tuple[ImageSet, ImageSet]:
    path = Path(source.data_dir)
    if path.suffix == ".npz" and path.is_file():
        return open_npz(source)
    if not path.is_dir():
        kind = "is neither a folder nor an .npz file" if path.exists() else "does not exist"
        raise InputError(
            f"data_dir={source.data_dir!r} {kind}. Give a folder of images or of IDX files, or an .npz file."
        )
    return open_idx(source) if holds_idx_files(path) else open_folder(source)
