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


def pictures(count: int, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    return [np.array(photo(*(size or (10 + number, 20)), phase=number)) for number in range(count)]


def write_set(data_dir, name: str, images: list[np.ndarray], shape=(None, None, 3)):
    """Writes record files as TFDS prepares them: images of two classes, all for training, the first four for test."""
    folder = data_dir / name / "1.0.0"
    folder.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=["ant", "bee"])}
    )
    identity = tfds.core.DatasetIdentity(
        name=name, version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=name
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features, supervised_keys=("image", "label"))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=5, overwrite=True)
    writer.initialize_splits(["train", "test"])
    examples = [{"image": image, "label": number % 2} for number, image in enumerate(images)]
    writer.add_examples({"train": examples, "test": examples[:4]})
    writer.close_all()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    write_set(folder, "pets", pictures(12))
    write_set(folder, "small_pets", pictures(12, (8, 9)), shape=(8, 9, 3))
    return str(folder)


def open_pets(data_dir, name="tfds/pets", **keys):
    return open_source(Source(name, data_dir, **keys))


def test_images_of_different_sizes_stay_encoded_in_memory(data_dir):
    train, test = open_pets(data_dir)
    assert isinstance(train, EncodedImages)
    assert (len(train), len(test), train.class_names) == (12, 4, ("ant", "bee"))
    assert test.labels.tolist() == [0, 1, 0, 1]
    wanted = {image.tobytes() for image in pictures(12)}
    assert {train.read(np.int32(index))[0].numpy().tobytes() for index in range(12)} == wanted


def test_images_of_one_size_are_decoded_into_memory(data_dir):
    train, _ = open_pets(data_dir, "tfds/small_pets")
    assert isinstance(train, LabeledImages)
    assert train.image_shape == (8, 9, 3)
    assert {image.tobytes() for image in train.images} == {image.tobytes() for image in pictures(12, (8, 9))}


def test_large_sets_are_streamed_in_the_same_order(data_dir, monkeypatch):
    in_memory, _ = open_pets(data_dir)
    monkeypatch.setattr(tfds_source, "MOST_RECORD_BYTES", 0)
    stream, _ = open_pets(data_dir)
    assert isinstance(stream, RecordImages)
    assert len(stream) == 12
    assert stream.mean_bytes > 0
    found = [(int(index), content, int(label)) for index, content, label in stream.in_order().as_numpy_iterator()]
    assert found == list(zip(range(12), in_memory.contents, in_memory.labels, strict=True))


def test_parts_of_splits_are_written_as_tfds_writes_them(data_dir):
    halves = open_pets(data_dir, train_split="train[:25%]", val_split="train[25%:]")
    assert [len(half) for half in halves] == [3, 9]
    assert len(open_pets(data_dir, train_split="train+test", val_split="test")[0]) == 16


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"val_split": "odd"}, "tfds/pets has no split 'odd'. Choose from train, test."),
        (
            {"val_split": "train"},
            "train_split and val_split are both 'train' of tfds/pets. Choose from train, test, or",
        ),
        (
            {"val_split": "test[4:]"},
            "split 'test[4:]' of tfds/pets cannot be read: Instruction [] corresponds to no data",
        ),
        ({"name": "tfds/cifar11"}, "dataset='tfds/cifar11' is no set of TFDS"),
        ({"name": "tfds/cifar11"}, "Did you mean cifar10"),
        ({"name": "tfds/imdb_reviews"}, "tfds/imdb_reviews is no image classification set: it has text, label."),
    ],
)
def test_sets_and_splits_that_are_not_there_are_refused(keys, message, data_dir):
    with pytest.raises(InputError) as error:
        open_pets(data_dir, **keys)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_set_that_cannot_be_prepared_is_one_line_with_the_way_out(data_dir, monkeypatch):
    def fail(builder):
        raise AssertionError("Manual directory does not exist.\nPlease put the files there.")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError) as error:
        open_pets(data_dir, "tfds/imagenet2012")
    assert "cannot be prepared: Manual directory does not exist. Prepare it with `tfds build" in str(error.value)
    assert f"imagenet2012 --data_dir {data_dir}`" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "kind", "num_classes"), [("cifar10", LabeledImages, 10), ("flowers102", EncodedImages, 102)]
)
def test_configs_of_the_package_open_their_set_in_tfds(config, kind, num_classes):
    recipe = keras_cct.load_recipe(config, model="cct_7_3x1_32")
    with tfds.testing.mock_data(num_examples=6):
        train, evaluation = open_data(recipe)
    assert isinstance(train, kind)
    assert (len(train), len(evaluation), len(train.class_names)) == (6, 6, num_classes)
