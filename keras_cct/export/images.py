"""Dataset images in a model's input shape, for calibration and verification."""

import numpy as np
import tensorflow as tf

from keras_cct.data.decode import DECODABLE_CHANNELS, ResizeAndCrop, resize_and_crop
from keras_cct.data.images import ImageSet, LabeledImages
from keras_cct.data.unreadable import raising_input_errors


def select_images(data: ImageSet, image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Returns evenly spaced images of a dataset, resized to a shape.

    Args:
        data: Grayscale or RGB images of any size.
        image_shape: (height, width, channels) of the result. Converts between grayscale and RGB; for other numbers
            of channels the images are random.
        count: Number of images; fewer if the dataset has fewer.

    Returns:
        uint8 array of shape (images, height, width, channels).

    Raises:
        InputError: Too many images cannot be read.
    """
    from keras_cct.data.decode import luma

    height, width, channels = image_shape
    if channels not in DECODABLE_CHANNELS or data.image_shape[-1] not in DECODABLE_CHANNELS:
        return np.random.default_rng(0).integers(0, 256, (count, *image_shape), dtype="uint8")
    resizing = ResizeAndCrop(height, width)

    def convert(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(resize_and_crop(image[tf.newaxis], resizing)[0], tf.uint8)
        if channels == 1:
            return luma(pixels[tf.newaxis])[0]
        return tf.image.grayscale_to_rgb(pixels) if data.image_shape[-1] == 1 else pixels

    with raising_input_errors(data):
        return np.stack([convert(image).numpy() for image in _spread(data, min(count, len(data)))])


def _spread(data: ImageSet, count: int) -> tf.data.Dataset:
    """Returns evenly spaced images, because datasets are often sorted by class."""
    if isinstance(data, LabeledImages):
        return tf.data.Dataset.from_tensor_slices(data.images[np.linspace(0, len(data) - 1, count).astype(int)])
    items = data.in_order().shard(max(len(data) // count, 1), 0).take(count)
    return items.map(lambda *item: data.read(*item)[0])
