"""Contact sheets: training images before and after augmentation, in one PNG file."""

import itertools
from os import PathLike
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cct.data.augment.mixing import soft_targets
from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.augment.stages import change_pixels, crop_image, draw_crops, mix_and_erase
from keras_cct.data.decode import ResizeAndCrop, resize_and_crop
from keras_cct.data.images import ImageSet, LabeledImages, shuffled_indices
from keras_cct.data.rng import SampleKeys
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.files import replacing
from keras_cct.recipe.recipe import Recipe

NUM_ROWS, NUM_EPOCHS = 8, 7
GAP = 2
"""White pixels between images."""
WHITE = 255
MIN_SIDE = 96
"""Images are enlarged by the largest integer factor that keeps both sides within this many pixels."""


def write_contact_sheet(
    data: ImageSet, recipe: Recipe, image_shape: tuple[int, int, int], path: str | PathLike
) -> Path:
    """Writes a PNG file with one row per image: its center crop, then its augmentation in up to seven epochs.

    Mixup and CutMix mix the first row with the last, the second with the last but one, and so on. Values outside
    [0, 255], which erasing can produce, are clipped.

    Args:
        data: Training images.
        recipe: Augmentation, seed and number of epochs.
        image_shape: Input shape (height, width, channels) of the model.
        path: File to write.

    Returns:
        The path of the file.

    Raises:
        InputError: A key of the augmentation is unknown or out of range, or too many images cannot be read.
    """
    num_rows = min(NUM_ROWS, len(data))
    num_rows -= num_rows % 2 if num_rows > 1 else 0  # mixing needs pairs
    plan = Augmentation.from_recipe(recipe).for_images(image_shape, num_rows)
    with raising_input_errors(data):
        images, indices, labels = _first_images(data, num_rows, recipe.seed)
    resize = ResizeAndCrop(*image_shape[:2])
    columns = [np.stack([resize_and_crop(image[tf.newaxis], resize)[0].numpy() for image in images])]
    targets = soft_targets(labels, len(data.class_names), recipe.smoothing)
    for epoch in range(min(NUM_EPOCHS, recipe.total_epochs)):
        keys = SampleKeys(recipe.seed, tf.constant(epoch), indices)
        draws = draw_crops(keys)
        crops = tf.stack([crop_image(image, draws[row], plan) for row, image in enumerate(images)])
        augmented, _ = mix_and_erase(change_pixels(crops, keys, plan), targets, keys, plan)
        columns.append(augmented.numpy())
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(tf.io.encode_png(_grid(_enlarge(np.array(columns)))).numpy())
    return path


def _first_images(data: ImageSet, count: int, seed: int) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Returns the first images of the first epoch, their indices and labels."""
    if isinstance(data, LabeledImages):
        indices = shuffled_indices(len(data), seed, tf.constant(0))[:count]
        return list(tf.gather(data.images, indices)), indices, tf.gather(data.labels, indices)
    items = data.shuffled(seed, tf.constant(0), tf.constant(0)).take(count)
    read = list(items.map(lambda index, *rest: (index, *data.read(index, *rest))))
    indices, images, labels = zip(*read, strict=True)
    return list(images), tf.stack(indices), tf.stack(labels)


def _enlarge(columns: np.ndarray) -> np.ndarray:
    factor = max(1, MIN_SIDE // max(columns.shape[2:4]))
    return columns.repeat(factor, axis=2).repeat(factor, axis=3)


def _grid(columns: np.ndarray) -> np.ndarray:
    """Arranges images, (columns, rows, height, width, channels), in a grid with white gaps between them."""
    num_columns, num_rows, height, width, channels = columns.shape
    sheet = np.full((num_rows * (height + GAP) - GAP, num_columns * (width + GAP) - GAP, channels), WHITE, "uint8")
    for column, row in itertools.product(range(num_columns), range(num_rows)):
        top, left = row * (height + GAP), column * (width + GAP)
        sheet[top : top + height, left : left + width] = np.clip(np.round(columns[column, row]), 0, 255)
    return sheet
