import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.images import EncodedImages, LabeledImages, RecordImages
from keras_cct.data.pipeline import evaluation_batches, model_image_shape, training_batches
from keras_cct.data.shard import Shard
from keras_cct.recipe.recipe import Recipe

RECIPE = Recipe(
    "cct_2_3x2_32",
    "sample",
    mean=(0.5,),
    std=(0.5,),
    epochs=2,
    cooldown_epochs=0,
    scale=(0.8, 1.0),
    color_jitter=0,
    crop_pct=1.0,
    smoothing=0.1,
    seed=5,
)
SHAPE = (16, 16, 1)


def numbered(count: int = 10) -> LabeledImages:
    """Returns images whose center, which every crop contains, encodes their index; crops change the frame around it."""
    images = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 1), dtype="uint8")
    images[:, 3:13, 3:13] = np.arange(count, dtype="uint8")[:, None, None, None] + 1
    return LabeledImages(images, np.arange(count) % 3, ("a", "b", "c"))


def encoded(data: LabeledImages) -> EncodedImages:
    contents = [tf.io.encode_png(image).numpy() for image in data.images]
    return EncodedImages([f"image {n}" for n in range(len(data))], data.labels, data.class_names, contents, channels=1)


def records(data: LabeledImages) -> RecordImages:
    contents = [tf.io.encode_png(image).numpy() for image in data.images]
    dataset = tf.data.Dataset.from_tensor_slices((contents, tf.constant(data.labels, tf.int64)))
    return RecordImages(dataset, len(data), 100, data.class_names, "records", channels=1)


SOURCES = {"arrays": lambda data: data, "encoded": encoded, "records": records}
IN_EVERY_PUSH = ["arrays", pytest.param("encoded", marks=pytest.mark.slow), "records"]
"""Records are decoded by the same pipeline as encoded images, which `test_images.py` reads."""


def planned_batches(data, recipe, batch_size=4, image_shape=SHAPE, first_step=0) -> tf.data.Dataset:
    plan = Augmentation.from_recipe(recipe).for_images(image_shape, batch_size)
    return training_batches(data, recipe, plan, first_step)


def batches(data, recipe, batch_size):
    return [(images.numpy(), targets.numpy()) for images, targets in planned_batches(data, recipe, batch_size)]


def order(found) -> list[int]:
    """Returns the indices of the images in the order of the batches."""
    return [int(image[8, 8, 0]) - 1 for images, _ in found for image in images]


def test_every_epoch_has_full_batches_in_a_new_order():
    found = batches(numbered(), RECIPE, batch_size=4)
    assert [len(images) for images, _ in found] == [4] * 4  # 2 epochs of 2 full batches
    first, second = order(found[:2]), order(found[2:])
    assert len(set(first)) == len(set(second)) == 8
    assert first != second


def test_images_keep_their_labels():
    for images, targets in batches(numbered(), RECIPE, batch_size=4):
        np.testing.assert_array_equal(targets.argmax(axis=1), (images[:, 8, 8, 0] - 1) % 3)


def test_images_in_memory_are_no_constants_of_a_graph(monkeypatch):
    data, made, constant = numbered(), [], tf.constant

    def noting(value, *arguments, **keys):
        made.extend([tf.executing_eagerly()] if value is data.images else [])
        return constant(value, *arguments, **keys)

    monkeypatch.setattr(tf, "constant", noting)
    batches(data, RECIPE, 4)
    assert made
    assert all(made)


def test_targets_are_smoothed():
    _, targets = batches(numbered(), RECIPE, batch_size=4)[0]
    np.testing.assert_allclose(np.sort(targets, axis=1), np.tile([0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3], (4, 1)), rtol=1e-6)


def test_seed_decides_the_batches():
    again, other = batches(numbered(), RECIPE, 4), batches(numbered(), dataclasses.replace(RECIPE, seed=6), 4)
    for (images, targets), (same_images, same_targets) in zip(batches(numbered(), RECIPE, 4), again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(targets, same_targets)
    assert order(other) != order(again)


def test_augmentation_does_not_depend_on_the_batch_size():
    def by_epoch_and_index(batch_size):
        found = batches(numbered(), RECIPE, batch_size)
        images_per_epoch = len(numbered()) // batch_size * batch_size
        images = np.concatenate([images for images, _ in found])
        return {(n // images_per_epoch, index): images[n] for n, index in enumerate(order(found))}

    small, large = by_epoch_and_index(2), by_epoch_and_index(4)
    assert len(large) == 16
    for key, image in large.items():
        np.testing.assert_array_equal(small[key], image)


def test_evaluation_yields_every_image_once_in_order_unchanged():
    data = numbered()
    found = [
        (images.numpy(), targets.numpy()) for images, targets in evaluation_batches(data, RECIPE, data.image_shape, 4)
    ]
    assert [len(images) for images, _ in found] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found]), data.images)
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in found]), np.eye(3)[data.labels])


@pytest.mark.parametrize("hflip", [0.0, 1.0])
def test_flip_rates_flip_images(hflip):
    data = numbered()
    recipe = dataclasses.replace(RECIPE, hflip=hflip, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    for images, _ in batches(data, recipe, 5):
        for image in images:
            original = data.images[image[8, 8, 0] - 1]
            np.testing.assert_array_equal(image, original[:, ::-1] if hflip else original)


@pytest.mark.parametrize("source", IN_EVERY_PUSH)
def test_resumed_runs_get_the_remaining_batches(source):
    data, recipe = SOURCES[source](numbered()), dataclasses.replace(RECIPE, mixup=0.8, reprob=0.5, workers=2)
    whole = list(planned_batches(data, recipe))
    for first_step in (1, 3) if source == "arrays" else (1,):  # in the first epoch, and in another one
        rest = planned_batches(data, recipe, first_step=first_step)
        for found, expected in zip(rest, whole[first_step:], strict=True):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("image_shape", [pytest.param((16, 16, 1), marks=pytest.mark.slow), (12, 20, 1)])
def test_encoded_images_give_the_same_batches_as_images_in_memory(image_shape):
    data, recipe = numbered(), dataclasses.replace(RECIPE, mixup=0.8)
    in_memory, decoded = (
        list(planned_batches(source, recipe, image_shape=image_shape)) for source in (data, encoded(data))
    )
    for (images, targets), (same_images, same_targets) in zip(in_memory, decoded, strict=True):
        assert images.shape == (4, *image_shape)
        np.testing.assert_allclose(np.array(images, int), np.array(same_images, int), atol=1)  # summed in another order
        np.testing.assert_array_equal(targets, same_targets)


@pytest.mark.parametrize("source", IN_EVERY_PUSH)
def test_evaluation_resizes_images_of_another_size(source):
    data, recipe = numbered(), dataclasses.replace(RECIPE, crop_pct=0.75)
    found = [images.numpy() for images, _ in evaluation_batches(SOURCES[source](data), recipe, (6, 6, 1), 4)]
    assert [images.shape for images in found] == [(4, 6, 6, 1), (4, 6, 6, 1), (2, 6, 6, 1)]
    # Resized to 8 x 8 and cropped to 6 x 6, the center does not contain the frame.
    assert [int(image[3, 3, 0]) for images in found for image in images] == list(range(1, 11))


@pytest.mark.parametrize("source", IN_EVERY_PUSH)
def test_crop_pct_applies_to_images_of_the_output_size(source):
    data, recipe = numbered(), dataclasses.replace(RECIPE, crop_pct=0.5)
    for images, _ in evaluation_batches(SOURCES[source](data), recipe, SHAPE, 4):
        assert (
            (images[:, 1:-1, 1:-1] == images[:, 8:9, 8:9]).numpy().all()
        )  # enlarged twice, so that the crop excludes the frame


@pytest.mark.parametrize("source", IN_EVERY_PUSH)
def test_no_aug_only_resizes_and_crops(source):
    data = numbered()
    recipe = dataclasses.replace(RECIPE, no_aug=True, reprob=1.0, color_jitter=0.4, vflip=1.0)
    found = batches(SOURCES[source](data), recipe, 5)
    for images, _ in found:
        assert images.dtype == "uint8"
        for image in images:
            np.testing.assert_array_equal(image, data.images[image[8, 8, 0] - 1])
    assert order(found[:2]) != order(found[2:])


def test_no_aug_still_mixes():
    recipe = dataclasses.replace(RECIPE, no_aug=True, mixup=1.0, smoothing=0.0)
    targets = np.concatenate([targets for _, targets in batches(numbered(), recipe, 4)])
    assert ((targets > 0) & (targets < 1)).any()


@pytest.mark.parametrize(
    ("img_size", "make", "wanted"),
    [
        (0, numbered, (16, 16, 1)),
        (0, lambda: encoded(numbered()), (48, 64, 1)),
        (8, numbered, (8, 8, 1)),
        (8, lambda: encoded(numbered()), (8, 8, 1)),
    ],
)
def test_image_size_comes_from_the_recipe_or_the_images_or_the_variant(img_size, make, wanted):
    recipe = dataclasses.replace(RECIPE, img_size=img_size)
    assert model_image_shape(recipe, make(), (48, 64)) == wanted


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        ("arrays", "pair"),
        pytest.param("arrays", "elem", marks=pytest.mark.slow),
        pytest.param("encoded", "batch", marks=pytest.mark.slow),
        ("records", "batch"),
    ],
)
def test_the_batches_of_all_shards_are_those_of_one_process(source, mode):
    keys = {"mixup": 0.8, "cutmix": 1.0, "mixup_mode": mode, "reprob": 0.5}
    data, recipe = SOURCES[source](numbered(20)), dataclasses.replace(RECIPE, **keys)
    plan = Augmentation.from_recipe(recipe).for_images(SHAPE, 8)
    whole = list(training_batches(data, recipe, plan).as_numpy_iterator())
    parts = [list(training_batches(data, recipe, plan, shard=Shard(index, 2)).as_numpy_iterator()) for index in (0, 1)]
    rows = [0, 7, 1, 6, 2, 5, 3, 4]
    for batch, *own in zip(whole, *parts, strict=True):
        for values, first, second in zip(batch, *own, strict=True):
            np.testing.assert_array_equal(np.concatenate([first, second]), values[rows])


@pytest.mark.parametrize("source", [pytest.param("encoded", marks=pytest.mark.slow), "records"])
def test_a_shard_decodes_its_own_images_only(source, monkeypatch):
    data = SOURCES[source](numbered(20))
    decoded: list[int] = []
    read = type(data).read

    def note(index):
        decoded.append(int(index))
        return index

    def counting(self, index, *rest):
        return read(self, tf.ensure_shape(tf.py_function(note, [index], tf.int32), ()), *rest)

    monkeypatch.setattr(type(data), "read", counting)
    recipe = dataclasses.replace(RECIPE, epochs=1)
    plan = Augmentation.from_recipe(recipe).for_images(SHAPE, 8)
    for index in (0, 1):
        assert len(list(training_batches(data, recipe, plan, shard=Shard(index, 2)))) == 2
        assert len(decoded) == len(set(decoded)) == 8 * (index + 1)
    decoded.clear()
    for index in (0, 1):
        assert len(list(evaluation_batches(data, recipe, SHAPE, 8, Shard(index, 2)))) == 3
    assert sorted(decoded) == list(range(20))


@pytest.mark.parametrize("source", IN_EVERY_PUSH)
def test_evaluation_batches_of_shards_are_filled_up_with_images_without_weight(source):
    data = SOURCES[source](numbered(10))
    whole = list(evaluation_batches(data, RECIPE, SHAPE, 10).as_numpy_iterator())
    parts = [list(evaluation_batches(data, RECIPE, SHAPE, 8, Shard(i, 2)).as_numpy_iterator()) for i in (0, 1)]
    images, targets, weights = (
        np.concatenate([values for batch in zip(*parts, strict=True) for values in (batch[0][k], batch[1][k])])
        for k in range(3)
    )
    np.testing.assert_array_equal(weights, [1] * 10 + [0] * 6)
    np.testing.assert_array_equal(images[:10], whole[0][0])
    np.testing.assert_array_equal(targets[:10], whole[0][1])
