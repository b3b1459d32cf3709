"""Image classification sets of TensorFlow Datasets."""

import difflib
import logging

import numpy as np
import tensorflow as tf

from keras_cct.data.images import EncodedImages, ImageSet, RecordImages
from keras_cct.data.sources.cache import load_if_small
from keras_cct.data.sources.source import Source, find_split
from keras_cct.errors import InputError

log = logging.getLogger(__name__)

MOST_RECORD_BYTES = 2**30
"""Up to this size the encoded images of a split are kept in memory."""

SYNONYMS = {"flowers102": "oxford_flowers102", "imagenet": "imagenet2012"}
NAMES = ("cifar10", "cifar100", "fashion_mnist", "mnist", "oxford_flowers102", "imagenet2012", *SYNONYMS)
"""Data sets that need no "tfds/" before their names."""


def open_tfds(source: Source) -> tuple[ImageSet, ImageSet]:
    """Returns two splits of a set, which is downloaded and prepared unless it was.

    Sets of small images are decoded into memory, up to 1 GiB; others stay encoded, in memory up to 1 GiB, else they are
    streamed from their record files.

    Args:
        source: `dataset` is "tfds/NAME" or one of `NAMES`; `data_dir` is the folder that TFDS keeps its sets in, by
            default ~/tensorflow_datasets; the splits are in TFDS's notation, e.g. "train[:90%]".

    Raises:
        InputError: There is no such set or split, it holds no images with labels, or cannot be prepared.
    """
    name = source.dataset.removeprefix("tfds/")
    builder = _find_builder(SYNONYMS.get(name, name), source.data_dir)
    image_key, label_key = _feature_keys(builder, name)
    if not builder.data_path.exists():
        _prepare(builder, source.data_dir)
    splits = [_present_split(builder, name, split) for split in (source.train_split, source.val_split)]
    if splits[0] == splits[1]:
        raise InputError(
            f"train_split and val_split are both {splits[0]!r} of tfds/{name}. Choose from "
            f"{', '.join(builder.info.splits)}, or parts such as 'train[:90%]' and 'train[90%:]'."
        )
    train, evaluation = (_open_split(builder, split, image_key, label_key) for split in splits)
    return train, evaluation


def _find_builder(name: str, data_dir: str):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except (ValueError, ImportError, OSError) as error:
        nearest = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "`tfds.list_builders()` names all."
        raise InputError(f"dataset='tfds/{name}' is no set of TFDS {tfds.__version__}. {hint}") from error


def _prepare(builder, data_dir: str) -> None:
    log.info("downloading and preparing tfds/%s in %s", builder.name, builder.data_dir)
    try:
        builder.download_and_prepare()
    except (OSError, ValueError, AssertionError, ImportError, RuntimeError, tf.errors.OpError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
        folder = f" --data_dir {data_dir}" if data_dir else ""
        raise InputError(
            f"tfds/{builder.name} is not in {builder.data_dir} and cannot be prepared: {reason}. Prepare it with `tfds "
            f"build {builder.name}{folder}`, or give the folder that has it as data_dir."
        ) from error


def _feature_keys(builder, name: str) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    features = builder.info.features or {}
    keys = [
        [key for key, feature in features.items() if isinstance(feature, kind)]
        for kind in (tfds.features.Image, tfds.features.ClassLabel)
    ]
    if builder.info.supervised_keys is not None:
        keys = [[key for key in found if key in builder.info.supervised_keys] or found for found in keys]
    if [len(found) for found in keys] != [1, 1]:
        raise InputError(
            f"tfds/{name} is no image classification set: it has {', '.join(features) or 'nothing'}. Choose another."
        )
    return keys[0][0], keys[1][0]


def _present_split(builder, name: str, split: str) -> str:
    """Returns the split as the set calls it; parts such as "train[:90%]" are left to TFDS."""
    whole, bracket, part = split.partition("[")
    present = list(builder.info.splits)
    if not present:  # a builder that stands in for a set in tests knows of none
        return split
    if "+" in split:
        return split
    found = find_split(whole, present)
    if found is None:
        raise InputError(f"tfds/{name} has no split {split!r}. Choose from {', '.join(present)}.")
    return found + bracket + part


def _open_split(builder, split: str, image_key: str, label_key: str) -> ImageSet:
    feature = builder.info.features[image_key]
    class_names = tuple(builder.info.features[label_key].names)
    channels = 1 if feature.shape[-1] == 1 else 3
    name = f"tfds/{builder.name} {split}"
    records = _records(builder, split, image_key, label_key)
    if builder.info.splits:
        count, mean_bytes = _size_of(builder, split)
        if count * mean_bytes > MOST_RECORD_BYTES:
            return RecordImages(records, count, mean_bytes, class_names, name, channels)
    pairs = list(records.as_numpy_iterator())
    labels = np.array([label for _, label in pairs], "int64")
    contents = [content for content, _ in pairs]
    names = [f"image {number} of {name}" for number in range(len(pairs))]
    encoded = EncodedImages(names, labels, class_names, contents, channels)
    return encoded if None in feature.shape else load_if_small(encoded)


def _size_of(builder, split: str) -> tuple[int, int]:
    """Returns the number of records of a split and the mean size of the set's records in bytes."""
    splits = builder.info.splits
    num_bytes, num_examples = (
        sum(getattr(whole, key) for whole in splits.values()) for key in ("num_bytes", "num_examples")
    )
    return splits[split].num_examples, num_bytes // max(1, num_examples)


def _records(builder, split: str, image_key: str, label_key: str) -> tf.data.Dataset:
    """Returns the encoded images and their labels, in the order of the files."""
    import tensorflow_datasets as tfds

    try:
        records = builder.as_dataset(split=split, shuffle_files=False, decoders={image_key: tfds.decode.SkipDecoding()})
    except (ValueError, AssertionError) as error:
        raise InputError(
            f"split {split!r} of tfds/{builder.name} cannot be read: {str(error).splitlines()[0]}"
        ) from error
    return records.map(lambda record: (record[image_key], record[label_key]))
