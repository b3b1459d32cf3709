import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from fixtures.images import photo

import keras_cct
from keras_cct.data.images import EncodedImages, LabeledImages, RecordImages
from keras_cct.data.sources import tfds as tfds_source
from keras_cct.data.sources.open import open_data, open_source
from keras_cct.data.sources.source import Source
from keras_cct.errors import InputError


def generated_images(count: int, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    return [np.array(photo(*(size or (10 + number, 20)), phase=number)) for number in range(count)]


class Pets(tfds.core.GeneratorBasedBuilder):
    """Images of different sizes in two classes: twelve for training, the first four of them for testing."""

    VERSION = tfds.core.Version("1.0.0")
    SIZE = None

    def _info(self) -> tfds.core.DatasetInfo:
        shape = (*(self.SIZE or (None, None)), 3)
        features = {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=["ant", "bee"])}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager) -> dict:
        return {"train": self._generate_examples(12), "test": self._generate_examples(4)}

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict]]:
        for number, image in enumerate(generated_images(count, self.SIZE)):
            yield number, {"image": image, "label": number % 2}


class SmallPets(Pets):
    """The same with images of one size."""

    VERSION = Pets.VERSION
    SIZE = (8, 9)


class UnlabeledPets(Pets):
    """The same without labels, which TFDS stores as -1."""

    VERSION = Pets.VERSION

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict]]:
        for number, example in super()._generate_examples(count):
            yield number, example | {"label": -1}


class LostPets(Pets):
    """A dataset whose download fails."""

    VERSION = Pets.VERSION

    def _split_generators(self, dl_manager) -> dict:
        raise tfds.download.DownloadError("Failed to get url https://example.org/pets.zip. HTTP code: 404.")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("tfds"))
    in_shards = tfds.download.DownloadConfig(num_shards=3)
    for name in ("pets", "small_pets"):
        tfds.builder(name, data_dir=folder).download_and_prepare(download_config=in_shards)
    return folder


def open_pets(data_dir, name="tfds/pets", **keys):
    return open_source(Source(name, data_dir, **keys))


def test_dataset_is_prepared_on_first_use(tmp_path, caplog):
    for _ in range(2):
        with caplog.at_level(logging.INFO, logger="keras_cct"):
            train, _ = open_pets(str(tmp_path), "tfds/pets")
    assert len(train) == 12
    messages = [record.getMessage() for record in caplog.records]
    assert sum(message.startswith("downloading and preparing tfds/pets") for message in messages) == 1


def test_images_of_different_sizes_stay_encoded_in_memory(data_dir):
    train, test = open_pets(data_dir)
    assert isinstance(train, EncodedImages)
    assert (len(train), len(test), train.class_names) == (12, 4, ("ant", "bee"))
    assert sorted(test.labels) == [0, 0, 1, 1]
    expected = {image.tobytes(): number % 2 for number, image in enumerate(generated_images(12))}
    found = train.in_order().map(train.read).as_numpy_iterator()
    assert {image.tobytes(): int(label) for image, label in found} == expected


def test_images_of_one_size_are_decoded_into_memory(data_dir):
    train, _ = open_pets(data_dir, "tfds/small_pets")
    assert isinstance(train, LabeledImages)
    assert train.image_shape == (8, 9, 3)
    assert {image.tobytes() for image in train.images} == {image.tobytes() for image in generated_images(12, (8, 9))}


def test_large_splits_are_streamed_in_the_same_order(data_dir, monkeypatch):
    in_memory, _ = open_pets(data_dir)
    monkeypatch.setattr(tfds_source, "MAX_RECORD_BYTES", 0)
    stream, _ = open_pets(data_dir)
    assert isinstance(stream, RecordImages)
    assert len(stream) == 12
    assert stream.mean_bytes > 0
    found = [(int(index), content, int(label)) for index, content, label in stream.in_order().as_numpy_iterator()]
    assert found == list(zip(range(12), in_memory.contents, in_memory.labels, strict=True))


def test_slices_and_sums_of_splits_are_read(data_dir):
    slices = open_pets(data_dir, train_split="train[:25%]", val_split="train[25%:]")
    assert [len(data) for data in slices] == [3, 9]
    assert len(open_pets(data_dir, train_split="train+test", val_split="test")[0]) == 16


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"val_split": "odd"}, "tfds/pets has no split 'odd'. Choose from train, test."),
        ({"val_split": "train"}, "train_split and val_split are both 'train' of tfds/pets."),
        ({"val_split": "test[4:]"}, "cannot read the split 'test[4:]' of tfds/pets: Instruction []"),
        ({"val_split": "train+odd"}, "cannot read the split 'train+odd' of tfds/pets: "),
        ({"name": "tfds/cifar11"}, "unknown dataset 'tfds/cifar11'"),
        ({"name": "tfds/cifar11"}, "Did you mean cifar10"),
        ({"name": "tfds/imdb_reviews"}, "tfds/imdb_reviews is not an image classification dataset"),
        ({"class_map": "map.txt"}, "class_map='map.txt' has no effect with "),
    ],
)
def test_unknown_datasets_splits_and_keys_are_rejected(keys, message, data_dir):
    with pytest.raises(InputError) as error:
        open_pets(data_dir, **keys)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_split_without_labels_is_rejected(tmp_path):
    with pytest.raises(InputError, match=r"label -1 in 'tfds/unlabeled_pets train' is not in \[0, 1\]"):
        open_pets(str(tmp_path), "tfds/unlabeled_pets")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("imagenet2012", "Manual directory "),  # must be downloaded by hand
        ("lost_pets", "Failed to get url https://example.org/pets.zip"),
    ],
)
def test_dataset_that_cannot_be_prepared_is_reported_in_one_line(name, reason, tmp_path):
    with pytest.raises(InputError, match=f"cannot prepare tfds/{name} in .*: {reason}") as error:
        open_pets(str(tmp_path), f"tfds/{name}")
    assert f"`tfds build {name} --data_dir {tmp_path}`" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def registered_data_dir(tmp_path) -> Iterator[Path]:
    """A folder where TFDS looks for prepared datasets, next to ~/tensorflow_datasets."""
    tfds.core.add_data_dir(tmp_path)
    yield tmp_path
    tfds.core.utils.file_utils.clear_registered_data_dirs()


def write_records(data_dir: Path, name: str, splits: tuple[str, ...], extra: dict) -> None:
    """Writes six images per split in the format of a published dataset."""
    info = tfds.builder(name, data_dir=data_dir).info
    Path(info.data_dir).mkdir(parents=True)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=10)
    writer.initialize_splits(list(splits))
    images = generated_images(6, (32, 32))
    examples = [{"image": image, "label": number, **extra} for number, image in enumerate(images)]
    writer.add_examples(dict.fromkeys(splits, examples))
    writer.close_all()


@pytest.mark.parametrize(
    ("config", "tfds_name", "splits", "extra", "result_type"),
    [
        ("cifar10", "cifar10", ("train", "test"), {"id": ""}, LabeledImages),
        ("flowers102", "oxford_flowers102", ("train", "validation", "test"), {"file_name": ""}, EncodedImages),
    ],
)
def test_shipped_configs_open_their_dataset_in_tfds(config, tfds_name, splits, extra, result_type, registered_data_dir):
    write_records(registered_data_dir, tfds_name, splits, extra)
    recipe = keras_cct.load_recipe(config, model="cct_7_3x1_32")
    train, evaluation = open_data(recipe)
    assert isinstance(train, result_type)
    assert (len(train), len(evaluation), len(train.class_names)) == (6, 6, recipe.num_classes)
