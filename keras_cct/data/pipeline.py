"""The `tf.data` input pipelines of training and evaluation, for every backend."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_cct.data.augment.mixing import soft_targets
from keras_cct.data.augment.plan import AugmentationPlan
from keras_cct.data.augment.stages import change_pixels, crop_batch, crop_image, draw_crops, mix_and_erase
from keras_cct.data.decode import ResizeAndCrop, resize_and_crop, without_optimizations
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages, RecordImages, epoch_indices
from keras_cct.data.rng import SampleKeys
from keras_cct.data.shard import Shard
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe


def model_image_shape(recipe: Recipe, data: ImageSet, variant_size: tuple[int, int]) -> tuple[int, int, int]:
    """Returns the input shape (height, width, channels) of a recipe's model.

    Args:
        recipe: `img_size` is the height and width. If it is 0, they are those of the images if all have the same size,
            otherwise `variant_size`.
        data: The images.
        variant_size: Height and width that the recipe's variant was published for.
    """
    height, width, channels = data.image_shape
    if recipe.img_size:
        return recipe.img_size, recipe.img_size, channels
    if height is None or width is None:
        height, width = variant_size
    return height, width, channels


def training_batches(
    data: ImageSet, recipe: Recipe, plan: AugmentationPlan, first_step: int = 0, shard: Shard | None = None
) -> tf.data.Dataset:
    """Returns the training batches of all epochs, one epoch after the other.

    The augmentation of an image and its position in the epoch are pure functions of (seed, epoch, sample index). Each
    epoch drops an incomplete last batch.

    Args:
        data: The training images, at least one batch.
        recipe: Seed, epochs, label smoothing and number of threads.
        plan: The augmentation, the image shape and the batch size.
        first_step: Steps to skip at the start, without decoding their images. The remaining batches do not change.
        shard: The part of this process in every batch; None for whole batches. Images of other parts are not decoded.

    Returns:
        Pairs of images of shape (batch, height, width, channels), pixels in [0, 255], and targets, float32 of shape
        (batch, classes), whose rows sum to 1. With `class_weights`, also the weight of each image, float32 of shape
        (batch,): the mean of the class weights over its target.

    Raises:
        InputError: The recipe needs the labels in memory, but the images are streamed.
    """
    batch_size, is_balanced = plan.batch_size, recipe.sampler == "balanced"
    if isinstance(data, RecordImages) and (is_balanced or recipe.class_weights):
        raise InputError(
            f"sampler={recipe.sampler!r} and class_weights={recipe.class_weights!r} need the labels in memory, but the "
            f"{len(data)} images of {data.name} are streamed. Leave them out."
        )
    weights = None if isinstance(data, RecordImages) or not recipe.class_weights else balanced_class_weights(data)
    first_epoch, first_batch = divmod(first_step, len(data) // batch_size)
    own_plan = plan if shard is None else dataclasses.replace(plan, batch_size=shard.size(batch_size))

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        num_skipped = tf.where(epoch == first_epoch, first_batch * batch_size, 0)

        def keys_of(indices: tf.Tensor) -> SampleKeys:
            return SampleKeys(recipe.seed, epoch, indices)

        def change(indices: tf.Tensor, crops: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return indices, change_pixels(crops, keys_of(indices), own_plan), labels

        def finish(first_index: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            indices, crops, labels = batch
            targets = soft_targets(labels, len(data.class_names), recipe.smoothing)
            crops = tf.ensure_shape(crops, (own_plan.batch_size, *crops.shape[1:]))
            images, targets = mix_and_erase(crops, targets, keys_of(indices), own_plan, first_index)
            if shard is not None:
                images, targets = shard.restore_pairs(images), shard.restore_pairs(targets)
            return (images, targets) if weights is None else (images, targets, tf.linalg.matvec(targets, weights))

        order, items = _epoch_items(data, recipe.seed, epoch, num_skipped, is_balanced)
        if shard is None:
            groups = items.batch(own_plan.group_size)
        else:
            groups = shard.select(items, batch_size).rebatch(own_plan.group_size)
        if isinstance(data, LabeledImages):
            groups = _cropped_arrays(data, groups, own_plan, recipe.seed, epoch)
        else:
            groups = _cropped_files(data, groups, own_plan, recipe.seed, epoch)
        groups = groups.map(change, num_parallel_calls=tf.data.AUTOTUNE)
        first_indices = order.batch(batch_size, drop_remainder=True).map(lambda indices: indices[:1])
        batches = tf.data.Dataset.zip(first_indices, groups.rebatch(own_plan.batch_size, drop_remainder=True))
        return batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)

    epochs = tf.data.Dataset.range(first_epoch, recipe.total_epochs, output_type=tf.int32)
    batches = epochs.flat_map(epoch_batches).prefetch(tf.data.AUTOTUNE)
    return batches.with_options(_options(recipe))


def balanced_class_weights(data: LabeledImages | EncodedImages) -> np.ndarray:
    """Returns a weight per class, inversely proportional to its number of images; their mean over the images is 1.

    Classes without images have the weight 0.
    """
    counts = np.bincount(data.labels, minlength=len(data.class_names))
    present = counts > 0
    weights = np.zeros(len(counts), "float32")
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def _epoch_items(
    data: ImageSet, seed: int, epoch: tf.Tensor, num_skipped: tf.Tensor, is_balanced: bool
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Returns the indices of the images of an epoch, and tuples of index and, of records, what else `read` takes."""
    if isinstance(data, RecordImages):
        return data.shuffled_indices(seed, epoch, num_skipped), data.shuffled(seed, epoch, num_skipped)
    if isinstance(data, EncodedImages):
        items = data.shuffled(seed, epoch, num_skipped, is_balanced)
    else:
        items = tf.data.Dataset.from_tensor_slices(
            (epoch_indices(data.labels, seed, epoch, is_balanced)[num_skipped:],)
        )
    return items.map(lambda index: index), items


def _cropped_arrays(
    data: LabeledImages, groups: tf.data.Dataset, plan: AugmentationPlan, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Returns indices, crops and labels of groups of images."""
    with tf.init_scope():  # constants of a graph may not have 2 GiB
        images, labels = tf.constant(data.images), tf.constant(data.labels)

    def crop(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        draws = draw_crops(SampleKeys(seed, epoch, indices))
        return indices, crop_batch(tf.gather(images, indices), draws, plan), tf.gather(labels, indices)

    return groups.map(crop, num_parallel_calls=tf.data.AUTOTUNE)


def _cropped_files(
    data: EncodedImages | RecordImages,
    groups: tf.data.Dataset,
    plan: AugmentationPlan,
    seed: int,
    epoch: tf.Tensor,
) -> tf.data.Dataset:
    """Returns the same as `_cropped_arrays` for images that are decoded one by one."""

    def draw(indices: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Drawing random numbers for a whole group takes as long as for one image.
        return draw_crops(SampleKeys(seed, epoch, indices)), indices, *rest

    def crop(draws: tf.Tensor, index: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index, *rest)
        return index, crop_image(image, draws, plan), label

    crops = groups.map(draw).unbatch().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return crops.batch(plan.group_size)


def evaluation_batches(
    data: ImageSet, recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int, shard: Shard | None = None
) -> tf.data.Dataset:
    """Returns the evaluation batches: every image once, in order, resized and center-cropped.

    Args:
        data: The images.
        recipe: `crop_pct`, `interpolation` and the number of threads.
        image_shape: Input shape (height, width, channels) of the model.
        batch_size: Images per step, over all devices; the last batch may be smaller.
        shard: The part of this process in every batch; None for whole batches. Images of other parts are not decoded.

    Returns:
        Pairs of uint8 images of shape (batch, height, width, channels) and one-hot targets, float32 of shape
        (batch, classes). With `shard`, all batches have the same size: the last one is filled up with black images, and
        a third value is the weight of each image, float32 of shape (batch,), 0 for these and 1 for others.
    """
    height, width, _ = image_shape
    resize = ResizeAndCrop(height, width, recipe.crop_pct, recipe.interpolation)

    def with_targets(images: tf.Tensor, labels: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return images, soft_targets(labels, len(data.class_names), smoothing=0.0), *weights

    if shard is None:
        batches = decoded_images(data, resize).batch(batch_size)
    else:
        batches = _filled_batches(data, resize, image_shape, batch_size, shard)
    return batches.map(with_targets).prefetch(tf.data.AUTOTUNE).with_options(_options(recipe))


def _filled_batches(
    data: ImageSet, resize: ResizeAndCrop, image_shape: tuple[int, int, int], batch_size: int, shard: Shard
) -> tf.data.Dataset:
    """Returns batches of images, labels and weights; the last one is filled up with black images of weight 0."""
    pixels = decoded_images(data, resize, lambda items: shard.select_consecutive(items, batch_size))
    weighted = pixels.map(lambda image, label: (image, label, 1.0))
    black = tf.zeros(image_shape, tf.uint8), tf.constant(0, tf.int64), 0.0
    fillers = tf.data.Dataset.from_tensors(black).repeat(shard.num_missing(len(data), batch_size))
    batches = weighted.concatenate(fillers).batch(shard.size(batch_size), drop_remainder=True)
    return batches.apply(tf.data.experimental.assert_cardinality(-(-len(data) // batch_size)))


def decoded_images(
    data: ImageSet,
    resize: ResizeAndCrop | None = None,
    select: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda items: items,
) -> tf.data.Dataset:
    """Returns a dataset of the decoded images: every image once, in order.

    Args:
        data: The images.
        resize: Output size; None to keep the size of each image.
        select: Selects images before they are decoded: a function from a dataset of tuples to one of fewer tuples.

    Returns:
        Pairs of a uint8 tensor of shape (height, width, channels) and its label, a scalar int64 tensor.
    """

    def apply_resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if resize is not None and not resize.is_identity(image.shape):
            image = tf.cast(resize_and_crop(image[tf.newaxis], resize)[0], tf.uint8)
        return image, label

    if isinstance(data, LabeledImages):
        pixels = select(tf.data.Dataset.from_tensor_slices((data.images, data.labels)))
        return pixels.map(apply_resize, num_parallel_calls=tf.data.AUTOTUNE)
    items = select(data.in_order())
    decoded = items.map(lambda *item: apply_resize(*data.read(*item)), num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.with_options(without_optimizations())


def _options(recipe: Recipe) -> tf.data.Options:
    options = tf.data.Options()
    options.threading.private_threadpool_size = recipe.workers
    options.threading.max_intra_op_parallelism = 1  # the threads process different images in parallel
    return options
