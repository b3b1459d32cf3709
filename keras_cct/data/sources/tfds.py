"""Image classification datasets of TensorFlow Datasets (TFDS)."""

import dataclasses
import difflib
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_cct.data.images import EncodedImages, ImageSet, RecordImages
from keras_cct.data.sources.cache import cache_if_small
from keras_cct.data.sources.labels import check_labels
from keras_cct.data.sources.source import Source, check_no_class_map, find_split
from keras_cct.errors import InputError
from keras_cct.facts.datasets import DATASETS, standard_name

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 2**30
"""Splits with at most this size of encoded images are loaded into memory."""


@dataclasses.dataclass(frozen=True)
class _Fields:
    """The image and the class label in the records of a dataset.

    Args:
        image_key: Key of the image.
        label_key: Key of the label.
        image_shape: (height, width, channels); None where images differ.
        class_names: Name of each class.
    """

    image_key: str
    label_key: str
    image_shape: tuple[int | None, ...]
    class_names: tuple[str, ...]


def open_tfds(source: Source) -> tuple[ImageSet, ImageSet]:
    """Returns two splits of a dataset. TFDS downloads and prepares it first if necessary.

    Splits of up to 1 GiB are loaded into memory, decoded if their images are small and share one size. Larger splits
    are streamed from their record files.

    Args:
        source: `dataset` is "tfds/NAME" or the name of a known dataset. `data_dir` is the folder in which TFDS stores
            its datasets, by default ~/tensorflow_datasets. The splits may be slices, e.g. "train[:90%]".

    Raises:
        InputError: The dataset or a split does not exist, is not for image classification or cannot be prepared.
    """
    check_no_class_map(source)
    name = source.dataset.removeprefix("tfds/")
    known = DATASETS.get(standard_name(name))
    builder = _find_builder(known.tfds_name if known else name, source.data_dir)
    fields = _find_fields(builder, name)
    if not builder.data_path.exists():
        _prepare(builder, source.data_dir)
    splits = [_find_split(builder, name, split) for split in (source.train_split, source.val_split)]
    if splits[0] == splits[1]:
        raise InputError(
            f"train_split and val_split are both {splits[0]!r} of tfds/{name}. Choose two of "
            f"{', '.join(builder.info.splits)}, or slices such as 'train[:90%]' and 'train[90%:]'."
        )
    train, evaluation = (_open_split(builder, split, fields) for split in splits)
    return train, evaluation


def _find_builder(name: str, data_dir: str) -> "tfds.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except (ValueError, ImportError, OSError) as error:
        nearest = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "`tfds.list_builders()` lists all names."
        raise InputError(f"unknown dataset 'tfds/{name}' in TFDS {tfds.__version__}. {hint}") from error


def _prepare(builder: "tfds.core.DatasetBuilder", data_dir: str) -> None:
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    download_errors = (DownloadError, NonMatchingChecksumError, ExtractError, OSError, tf.errors.OpError)
    log.info("downloading and preparing tfds/%s in %s", builder.name, builder.data_dir)
    try:
        builder.download_and_prepare()
    except (*download_errors, ValueError, AssertionError, ImportError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
        option = f" --data_dir {data_dir}" if data_dir else ""
        raise InputError(
            f"cannot prepare tfds/{builder.name} in {builder.data_dir}: {reason}. Prepare it with `tfds build "
            f"{builder.name}{option}`, or set data_dir to the folder that contains it."
        ) from error


def _find_fields(builder: "tfds.core.DatasetBuilder", name: str) -> _Fields:
    import tensorflow_datasets as tfds

    top = builder.info.features
    features: dict[str, Any] = dict(top.items()) if isinstance(top, tfds.features.FeaturesDict) else {}
    supervised_keys = builder.info.supervised_keys or ()

    def find(feature_type: type) -> list[str]:
        found = [key for key, feature in features.items() if isinstance(feature, feature_type)]
        return [key for key in found if key in supervised_keys] or found

    image_keys, label_keys = find(tfds.features.Image), find(tfds.features.ClassLabel)
    if len(image_keys) != 1 or len(label_keys) != 1:
        raise InputError(
            f"tfds/{name} is not an image classification dataset: its features are {', '.join(features) or '(none)'}. "
            "Choose a dataset with one image and one class label."
        )
    (image_key,), (label_key,) = image_keys, label_keys
    return _Fields(image_key, label_key, features[image_key].shape, tuple(features[label_key].names))


def _find_split(builder: "tfds.core.DatasetBuilder", name: str, split: str) -> str:
    """Returns the split by its name in the dataset, keeping a slice such as "[:90%]". Sums ("a+b") are left to TFDS."""
    if "+" in split:
        return split
    whole, bracket, part = split.partition("[")
    found = find_split(whole, builder.info.splits)
    if found is None:
        raise InputError(f"tfds/{name} has no split {split!r}. Choose from {', '.join(builder.info.splits)}.")
    return found + bracket + part


def _open_split(builder: "tfds.core.DatasetBuilder", split: str, fields: _Fields) -> ImageSet:
    class_names = fields.class_names
    channels = 1 if fields.image_shape[-1] == 1 else 3
    name = f"tfds/{builder.name} {split}"
    records = _read_records(builder, split, fields)
    count, mean_bytes = _measure_split(builder, split)
    if count * mean_bytes > MAX_RECORD_BYTES:
        versioned = f"tfds/{builder.info.full_name} {split}"
        return RecordImages(records, count, mean_bytes, class_names, versioned, channels)
    pairs = list(records.as_numpy_iterator())
    labels = np.array([label for _, label in pairs], "int64")
    check_labels(labels, len(class_names), name)  # TFDS gives images of unlabeled test splits the label -1
    contents = [content for content, _ in pairs]
    names = [f"image {number} of {name}" for number in range(len(pairs))]
    encoded = EncodedImages(names, labels, class_names, contents, channels)
    return encoded if None in fields.image_shape else cache_if_small(encoded)


def _measure_split(builder: "tfds.core.DatasetBuilder", split: str) -> tuple[int, int]:
    """Returns the number of records of a split, and the mean bytes per record over the whole dataset."""
    splits = builder.info.splits
    num_bytes = sum(whole.num_bytes for whole in splits.values())
    num_examples = sum(whole.num_examples for whole in splits.values())
    return splits[split].num_examples, num_bytes // max(1, num_examples)


def _read_records(builder: "tfds.core.DatasetBuilder", split: str, fields: _Fields) -> tf.data.Dataset:
    """Returns pairs of an encoded image and its label, in the order of the record files."""
    import tensorflow_datasets as tfds

    try:
        records = builder.as_dataset(
            split=split,  # pyright: ignore[reportCallIssue] a decorator of TFDS hides the parameters
            shuffle_files=False,
            decoders={fields.image_key: tfds.decode.SkipDecoding()},
        )
    except (ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"cannot read the split {split!r} of tfds/{builder.name}: {reason}. Choose from "
            f"{', '.join(builder.info.splits)}, or slices and sums of them."
        ) from error
    return records.map(lambda record: (record[fields.image_key], record[fields.label_key]))
