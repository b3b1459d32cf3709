"""The `tf.data` pipelines that feed training and evaluation, under every backend."""

import dataclasses

import tensorflow as tf

from keras_cct.data.augment.erasing import Erasing
from keras_cct.data.augment.library_layers import is_library_layer, library_layer
from keras_cct.data.augment.mixing import Mixing, check_batch_size, soft_targets
from keras_cct.data.augment.plan import (
    Augmentation,
    change_pixels,
    crop_batch,
    crop_image,
    draw_crops,
    group_size,
    mix_and_erase,
)
from keras_cct.data.decode import ResizeAndCrop, resize_and_crop
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages, RecordImages, shuffled_indices
from keras_cct.data.rng import SampleKeys
from keras_cct.errors import InputError, check_setting
from keras_cct.recipe.recipe import Recipe


def model_image_shape(recipe: Recipe, data: ImageSet, variant_size: tuple[int, int]) -> tuple[int, int, int]:
    """Returns (height, width, channels) of the images that a recipe's model takes.

    Args:
        recipe: Its `img_size` decides; where that is 0, the images' own size if they share one, else the variant's.
        data: The images.
        variant_size: Height and width that the recipe's variant was published for.
    """
    height, width, channels = data.image_shape
    if recipe.img_size:
        return recipe.img_size, recipe.img_size, channels
    return (*variant_size, channels) if height is None else (height, width, channels)


def recipe_augmentation(recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int) -> Augmentation:
    """Returns the augmentation of a recipe.

    Args:
        recipe: The recipe.
        image_shape: (height, width, channels) of the images that the model takes.
        batch_size: Images per step, over all devices.

    Raises:
        InputError: A key is unknown or out of range, does not fit the images, or an odd batch is to be mixed.
    """
    *img_size, channels = image_shape
    for key in ("mean", "std"):
        fits = len(getattr(recipe, key)) in (1, channels)
        check_setting(key, getattr(recipe, key), fits, f"one number, or one for each channel of the images, {channels}")
    mixing = Mixing(**_keys_of(Mixing, recipe))
    if mixing.is_active:
        check_batch_size(batch_size)
    keys = _keys_of(Augmentation, recipe) | {"img_size": tuple(img_size)}
    if recipe.aa_args and not is_library_layer(recipe.aa):
        raise InputError(f"aa_args={recipe.aa_args} mean nothing to aa={recipe.aa!r}. Name a layer, or leave them out.")
    if is_library_layer(recipe.aa):
        keys |= {"aa": "", "layer": library_layer(recipe.aa, recipe.aa_args, recipe.seed, channels)}
    return Augmentation(mixing=mixing, erasing=Erasing(**_keys_of(Erasing, recipe)), **keys)


def _keys_of(kind: type, recipe: Recipe) -> dict[str, object]:
    """Returns the recipe's keys that have the name of a field."""
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: getattr(recipe, name) for name in names if hasattr(recipe, name)}


def training_batches(
    data: ImageSet, recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int, first_step: int = 0
) -> tf.data.Dataset:
    """Returns all epochs of a recipe, one after the other.

    What becomes of an image in an epoch depends on (seed, epoch, index of the image) only, and so does its place in
    the epoch. Each epoch leaves out the images that do not fill its last batch.

    Args:
        data: The training images.
        recipe: Seed, epochs, augmentation, label smoothing and threads.
        image_shape: (height, width, channels) of the images that the model takes.
        batch_size: Images per step, over all devices; at most the number of images.
        first_step: Steps to leave out at the start, without decoding their images; what follows is as it would be.

    Returns:
        Pairs of images of shape (batch, height, width, channels), pixels of 0..255, and targets, float32 of shape
        (batch, classes), rows summing to 1.

    Raises:
        InputError: A key of the augmentation is unknown or out of range.
    """
    augmentation = recipe_augmentation(recipe, image_shape, batch_size)
    first_epoch, first_batch = divmod(first_step, len(data) // batch_size)
    cropped = _cropped_arrays if isinstance(data, LabeledImages) else _cropped_files

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        first_image = tf.where(epoch == first_epoch, first_batch * batch_size, 0)

        def change(indices: tf.Tensor, crops: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return indices, change_pixels(crops, SampleKeys(recipe.seed, epoch, indices), augmentation), labels

        def finish(indices: tf.Tensor, crops: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            targets = soft_targets(labels, len(data.class_names), recipe.smoothing)
            crops = tf.ensure_shape(crops, (batch_size, *crops.shape[1:]))
            return mix_and_erase(crops, targets, SampleKeys(recipe.seed, epoch, indices), augmentation)

        keys = SampleKeys(recipe.seed, epoch, first_image)
        groups = cropped(data, augmentation, keys, group_size(batch_size, augmentation))
        groups = groups.map(change, num_parallel_calls=tf.data.AUTOTUNE)
        batches = groups.rebatch(batch_size, drop_remainder=True)
        return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)

    epochs = tf.data.Dataset.range(first_epoch, recipe.total_epochs, output_type=tf.int32)
    num_steps = len(data) // batch_size * recipe.total_epochs - first_step
    batches = epochs.flat_map(epoch_batches).apply(tf.data.experimental.assert_cardinality(num_steps))
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_options(recipe))


def _cropped_arrays(data: LabeledImages, augmentation: Augmentation, start: SampleKeys, count: int) -> tf.data.Dataset:
    """Returns indices, crops and labels of an epoch in groups, from the image on whose place `start.indices` is."""
    images, labels = tf.constant(data.images), tf.constant(data.labels)

    def crop(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        draws = draw_crops(SampleKeys(start.seed, start.epoch, indices))
        return indices, crop_batch(tf.gather(images, indices), draws, augmentation), tf.gather(labels, indices)

    order = shuffled_indices(len(data), start.seed, start.epoch)[start.indices :]
    groups = tf.data.Dataset.from_tensor_slices(order).batch(count)
    return groups.map(crop, num_parallel_calls=tf.data.AUTOTUNE)


def _cropped_files(
    data: EncodedImages | RecordImages, augmentation: Augmentation, start: SampleKeys, count: int
) -> tf.data.Dataset:
    """Does as `_cropped_arrays` for images that are decoded one by one."""

    def draw(indices: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # For a group at once, at the price of one.
        return draw_crops(SampleKeys(start.seed, start.epoch, indices)), indices, *rest

    def crop(draws: tf.Tensor, index: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index, *rest)
        return index, crop_image(image, draws, augmentation), label

    groups = data.shuffled(start.seed, start.epoch, start.indices).batch(count)
    crops = groups.map(draw).unbatch().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return crops.batch(count)


def evaluation_batches(
    data: ImageSet, recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int
) -> tf.data.Dataset:
    """Returns every image once, in order, resized and cut at the center as `crop_pct` and `interpolation` say.

    Args:
        data: The images.
        recipe: Those keys, and threads.
        image_shape: (height, width, channels) of the images that the model takes.
        batch_size: Images per step, over all devices; the last step may have fewer.

    Returns:
        Pairs as of `training_batches`, the images uint8, the targets one-hot.
    """
    resizing = ResizeAndCrop(*image_shape[:2], recipe.crop_pct, recipe.interpolation)
    pixels = decoded_images(data, resizing)

    def with_targets(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return images, soft_targets(labels, len(data.class_names), smoothing=0.0)

    batches = pixels.batch(batch_size).map(with_targets).prefetch(tf.data.AUTOTUNE)
    return batches.with_options(_options(recipe))


def decoded_images(data: ImageSet, resizing: ResizeAndCrop | None = None) -> tf.data.Dataset:
    """Returns every image once, in order.

    Args:
        data: The images.
        resizing: The size wanted; None for the images as they are.

    Returns:
        Pairs of a uint8 tensor of shape (height, width, channels) and its label, a scalar int64 tensor.
    """

    def fit(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if resizing is not None and not resizing.leaves(image.shape):
            image = tf.cast(resize_and_crop(image[tf.newaxis], resizing)[0], tf.uint8)
        return image, label

    if isinstance(data, LabeledImages):
        pixels = tf.data.Dataset.from_tensor_slices((data.images, data.labels))
        return pixels.map(fit, num_parallel_calls=tf.data.AUTOTUNE)
    return data.in_order().map(lambda *item: fit(*data.read(*item)), num_parallel_calls=tf.data.AUTOTUNE)


def _options(recipe: Recipe) -> tf.data.Options:
    options = tf.data.Options()
    options.threading.private_threadpool_size = recipe.workers
    options.threading.max_intra_op_parallelism = 1  # the threads work on images of their own
    return options
