import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.images import EncodedImages, LabeledImages, RecordImages
from keras_cct.data.pipeline import evaluation_batches, model_image_shape, recipe_augmentation, training_batches
from keras_cct.errors import InputError
from keras_cct.recipe.loading import load_recipe
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
    """Images that show their own index in the middle, which no crop leaves out, within a frame that crops change."""
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


KINDS = {"arrays": lambda data: data, "encoded": encoded, "records": records}


def batches(data, recipe, batch_size):
    return [(images.numpy(), targets.numpy()) for images, targets in training_batches(data, recipe, SHAPE, batch_size)]


def order(found) -> list[int]:
    return [int(image[8, 8, 0]) - 1 for images, _ in found for image in images]


def test_every_epoch_has_full_batches_in_an_order_of_its_own():
    found = batches(numbered(), RECIPE, batch_size=4)
    assert [len(images) for images, _ in found] == [4] * 4  # 2 epochs of 2 full batches
    first, second = order(found[:2]), order(found[2:])
    assert len(set(first)) == len(set(second)) == 8
    assert first != second


def test_images_keep_their_labels():
    for images, targets in batches(numbered(), RECIPE, batch_size=4):
        np.testing.assert_array_equal(targets.argmax(axis=1), (images[:, 8, 8, 0] - 1) % 3)


def test_targets_are_smoothed():
    _, targets = batches(numbered(), RECIPE, batch_size=4)[0]
    np.testing.assert_allclose(np.sort(targets, axis=1), np.tile([0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3], (4, 1)), rtol=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    again, other = batches(numbered(), RECIPE, 4), batches(numbered(), dataclasses.replace(RECIPE, seed=6), 4)
    for (images, targets), (same_images, same_targets) in zip(batches(numbered(), RECIPE, 4), again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(targets, same_targets)
    assert order(other) != order(again)


def test_augmentation_depends_on_the_image_not_on_its_batch():
    def by_epoch_and_index(batch_size):
        found = batches(numbered(), RECIPE, batch_size)
        images_per_epoch = len(numbered()) // batch_size * batch_size
        images = np.concatenate([images for images, _ in found])
        return {(n // images_per_epoch, index): images[n] for n, index in enumerate(order(found))}

    small, large = by_epoch_and_index(2), by_epoch_and_index(4)
    assert len(large) == 16
    for key, image in large.items():
        np.testing.assert_array_equal(small[key], image)


def test_evaluation_has_every_image_once_in_order_unchanged():
    data = numbered()
    found = [
        (images.numpy(), targets.numpy()) for images, targets in evaluation_batches(data, RECIPE, data.image_shape, 4)
    ]
    assert [len(images) for images, _ in found] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found]), data.images)
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in found]), np.eye(3)[data.labels])


@pytest.mark.parametrize("hflip", [0.0, 1.0])
def test_flip_rate_reaches_the_images(hflip):
    data = numbered()
    recipe = dataclasses.replace(RECIPE, hflip=hflip, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    for images, _ in batches(data, recipe, 5):
        for image in images:
            original = data.images[image[8, 8, 0] - 1]
            np.testing.assert_array_equal(image, original[:, ::-1] if hflip else original)


def test_every_key_of_the_augmentation_reaches_it():
    values = {
        "scale": (0.5, 0.6),
        "ratio": (1.0, 1.5),
        "hflip": 0.1,
        "vflip": 0.2,
        "train_interpolation": "bicubic",
        "aa": "rand-m5",
        "color_jitter": 0.3,
    }
    mixing = {
        "mixup": 0.8,
        "cutmix": 0.9,
        "mixup_prob": 0.7,
        "mixup_switch_prob": 0.4,
        "mixup_mode": "elem",
        "mixup_off_epoch": 3,
    }
    erasing = {"reprob": 0.25, "remode": "pixel", "recount": 2}
    recipe = dataclasses.replace(RECIPE, **values, **mixing, **erasing)
    augmentation = recipe_augmentation(recipe, (8, 8, 3), batch_size=4)
    assert {key: getattr(augmentation, key) for key in values} == values
    assert dataclasses.asdict(augmentation.mixing) == mixing
    assert dataclasses.asdict(augmentation.erasing) == erasing


def test_an_odd_batch_cannot_be_mixed():
    with pytest.raises(InputError, match="batch size 5 is odd"):
        recipe_augmentation(dataclasses.replace(RECIPE, mixup=0.8), (8, 8, 3), batch_size=5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": (0.5,)}, "scale"),
        ({"ratio": ()}, "ratio"),
        ({"scale": (0.5, 3.0)}, "scale"),
        (
            {"mean": (0.1, 0.2)},
            "mean must be one number, or one for each channel of the images, 3, got (0.1, 0.2)",
        ),
        ({"mean": ()}, "mean must be one number"),
    ],
)
def test_keys_that_do_not_fit_are_refused(values, message):
    with pytest.raises(InputError) as error:
        recipe_augmentation(dataclasses.replace(RECIPE, **values), (8, 8, 3), batch_size=4)
    assert message in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_has_the_rest_of_the_batches(kind):
    data, recipe = KINDS[kind](numbered()), dataclasses.replace(RECIPE, mixup=0.8, reprob=0.5, workers=2)
    whole = list(training_batches(data, recipe, SHAPE, 4))
    for first_step in (1, 3):
        rest = training_batches(data, recipe, SHAPE, 4, first_step)
        assert int(rest.cardinality()) == 4 - first_step
        for found, expected in zip(rest, whole[first_step:], strict=True):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("image_shape", [(16, 16, 1), (12, 20, 1)])
def test_encoded_images_give_the_batches_of_the_same_images_in_memory(image_shape):
    data, recipe = numbered(), dataclasses.replace(RECIPE, mixup=0.8)
    ours, theirs = (list(training_batches(source, recipe, image_shape, 4)) for source in (data, encoded(data)))
    for (images, targets), (same_images, same_targets) in zip(ours, theirs, strict=True):
        assert images.shape == (4, *image_shape)
        np.testing.assert_allclose(np.array(images, int), np.array(same_images, int), atol=1)  # sums in another order
        np.testing.assert_array_equal(targets, same_targets)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_resizes_images_of_another_size(kind):
    data, recipe = numbered(), dataclasses.replace(RECIPE, crop_pct=0.75)
    found = [images.numpy() for images, _ in evaluation_batches(KINDS[kind](data), recipe, (6, 6, 1), 4)]
    assert [images.shape for images in found] == [(4, 6, 6, 1), (4, 6, 6, 1), (2, 6, 6, 1)]
    # Resized to 8 x 8 and cut to 6 x 6, the frame is gone but for what the resampling leaves of it.
    assert [int(image[3, 3, 0]) for images in found for image in images] == list(range(1, 11))


@pytest.mark.parametrize("kind", KINDS)
def test_crop_pct_counts_for_images_of_the_right_size_too(kind):
    data, recipe = numbered(), dataclasses.replace(RECIPE, crop_pct=0.5)
    for images, _ in evaluation_batches(KINDS[kind](data), recipe, SHAPE, 4):
        assert (images[:, 1:-1, 1:-1] == images[:, 8:9, 8:9]).numpy().all()  # twice as large, the frame is outside


@pytest.mark.parametrize("kind", KINDS)
def test_no_aug_only_resizes_and_cuts(kind):
    data = numbered()
    recipe = dataclasses.replace(RECIPE, no_aug=True, reprob=1.0, color_jitter=0.4, vflip=1.0)
    found = batches(KINDS[kind](data), recipe, 5)
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
def test_image_size_is_that_of_the_recipe_or_of_the_images_or_of_the_variant(img_size, make, wanted):
    recipe = dataclasses.replace(RECIPE, img_size=img_size)
    assert model_image_shape(recipe, make(), (48, 64)) == wanted


def test_arguments_without_a_layer_are_refused():
    recipe = load_recipe("sample", aa_args={"severity": 1})
    with pytest.raises(InputError, match="mean nothing to aa=''. Name a layer, or leave them out"):
        recipe_augmentation(recipe, (28, 28, 1), 8)
