"""The `tf.data` input pipelines of training and evaluation, for every backend."""

import numpy as np
import tensorflow as tf

from keras_cct.data.augment.mixing import soft_targets
from keras_cct.data.augment.plan import AugmentationPlan
from keras_cct.data.augment.stages import change_pixels, crop_batch, crop_image, draw_crops, mix_and_erase
from keras_cct.data.decode import ResizeAndCrop, resize_and_crop
from keras_cct.data.images import EncodedImages, ImageSet, LabeledImages, RecordImages, epoch_indices
from keras_cct.data.rng import SampleKeys
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


def training_batches(data: ImageSet, recipe: Recipe, plan: AugmentationPlan, first_step: int = 0) -> tf.data.Dataset:
    """Returns the training batches of all epochs, one epoch after the other.

    The augmentation of an image and its position in the epoch are pure functions of (seed, epoch, sample index). Each
    epoch drops an incomplete last batch.

    Args:
        data: The training images, at least one batch.
        recipe: Seed, epochs, label smoothing and number of threads.
        plan: The augmentation, the image shape and the batch size.
        first_step: Steps to skip at the start, without decoding their images. The remaining batches do not change.

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

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        num_skipped = tf.where(epoch == first_epoch, first_batch * batch_size, 0)

        def keys_of(indices: tf.Tensor) -> SampleKeys:
            return SampleKeys(recipe.seed, epoch, indices)

        def change(indices: tf.Tensor, crops: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return indices, change_pixels(crops, keys_of(indices), plan), labels

        def finish(indices: tf.Tensor, crops: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
            targets = soft_targets(labels, len(data.class_names), recipe.smoothing)
            crops = tf.ensure_shape(crops, (batch_size, *crops.shape[1:]))
            images, targets = mix_and_erase(crops, targets, keys_of(indices), plan)
            return (images, targets) if weights is None else (images, targets, tf.linalg.matvec(targets, weights))

        if isinstance(data, LabeledImages):
            order = epoch_indices(data.labels, recipe.seed, epoch, is_balanced)[num_skipped:]
            groups = _cropped_arrays(data, plan, recipe.seed, epoch, order)
        elif isinstance(data, EncodedImages):
            images = data.shuffled(recipe.seed, epoch, num_skipped, is_balanced)
            groups = _cropped_files(data, images, plan, recipe.seed, epoch)
        else:
            images = data.shuffled(recipe.seed, epoch, num_skipped)
            groups = _cropped_files(data, images, plan, recipe.seed, epoch)
        groups = groups.map(change, num_parallel_calls=tf.data.AUTOTUNE)
        batches = groups.rebatch(batch_size, drop_remainder=True)
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


def _cropped_arrays(
    data: LabeledImages, plan: AugmentationPlan, seed: int, epoch: tf.Tensor, order: tf.Tensor
) -> tf.data.Dataset:
    """Returns indices, crops and labels of one epoch in groups, in an order of the images."""
    images, labels = tf.constant(data.images), tf.constant(data.labels)

    def crop(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        draws = draw_crops(SampleKeys(seed, epoch, indices))
        return indices, crop_batch(tf.gather(images, indices), draws, plan), tf.gather(labels, indices)

    groups = tf.data.Dataset.from_tensor_slices(order).batch(plan.group_size)
    return groups.map(crop, num_parallel_calls=tf.data.AUTOTUNE)


def _cropped_files(
    data: EncodedImages | RecordImages, images: tf.data.Dataset, plan: AugmentationPlan, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Returns the same as `_cropped_arrays` for images that are decoded one by one."""

    def draw(indices: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Drawing random numbers for a whole group takes as long as for one image.
        return draw_crops(SampleKeys(seed, epoch, indices)), indices, *rest

    def crop(draws: tf.Tensor, index: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = data.read(index, *rest)
        return index, crop_image(image, draws, plan), label

    groups = images.batch(plan.group_size)
    crops = groups.map(draw).unbatch().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return crops.batch(plan.group_size)


def evaluation_batches(
    data: ImageSet, recipe: Recipe, image_shape: tuple[int, int, int], batch_size: int
) -> tf.data.Dataset:
    """Returns the evaluation batches: every image once, in order, resized and center-cropped.

    Args:
        data: The images.
        recipe: `crop_pct`, `interpolation` and the number of threads.
        image_shape: Input shape (height, width, channels) of the model.
        batch_size: Images per step, over all devices; the last batch may be smaller.

    Returns:
        Pairs of uint8 images of shape (batch, height, width, channels) and one-hot targets, float32 of shape
        (batch, classes).
    """
    height, width, _ = image_shape
    pixels = decoded_images(data, ResizeAndCrop(height, width, recipe.crop_pct, recipe.interpolation))

    def with_targets(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return images, soft_targets(labels, len(data.class_names), smoothing=0.0)

    options = _options(recipe)
    if not isinstance(data, LabeledImages):
        # TensorFlow would optimize the graph that decodes for seconds, in every epoch, and decode as fast as before.
        options.experimental_optimization.apply_default_optimizations = False
    batches = pixels.batch(batch_size).map(with_targets).prefetch(tf.data.AUTOTUNE)
    return batches.with_options(options)


def decoded_images(data: ImageSet, resize: ResizeAndCrop | None = None) -> tf.data.Dataset:
    """Returns a dataset of the decoded images: every image once, in order.

    Args:
        data: The images.
        resize: Output size; None to keep the size of each image.

    Returns:
        Pairs of a uint8 tensor of shape (height, width, channels) and its label, a scalar int64 tensor.
    """

    def apply_resize(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if resize is not None and not resize.is_identity(image.shape):
            image = tf.cast(resize_and_crop(image[tf.newaxis], resize)[0], tf.uint8)
        return image, label

    if isinstance(data, LabeledImages):
        pixels = tf.data.Dataset.from_tensor_slices((data.images, data.labels))
        return pixels.map(apply_resize, num_parallel_calls=tf.data.AUTOTUNE)
    return data.in_order().map(lambda *item: apply_resize(*data.read(*item)), num_parallel_calls=tf.data.AUTOTUNE)


def _options(recipe: Recipe) -> tf.data.Options:
    options = tf.data.Options()
    options.threading.private_threadpool_size = recipe.workers
    options.threading.max_intra_op_parallelism = 1  # the threads process different images in parallel
    return options
