"""RandomErasing: random boxes of an image are replaced by noise, a random color or the mean.

Reference: Zhong et al. 2017, arXiv:1708.04896; sampling as in timm 0.4.12.
"""

import dataclasses

import tensorflow as tf

from keras_cct.data.augment.batches import static_shape
from keras_cct.data.augment.crop import BOX_DRAWS, draw_sides, first_valid, random_offsets
from keras_cct.data.rng import SampleKeys, normal_draws, to_integer
from keras_cct.errors import check_setting

AREA_RANGE = (0.02, 1 / 3)
ASPECT_RANGE = (0.3, 1 / 0.3)
MODES = ("const", "rand", "pixel")
NOISE_STREAM = 2**24
"""First random stream of the noise, above the streams of all other stages."""


@dataclasses.dataclass(frozen=True)
class Erasing:
    """Settings of RandomErasing, named by timm's keys.

    Args:
        reprob: Probability that an image is erased, in [0, 1].
        remode: Content of an erased box: "const" (the mean), "rand" (one random color per box) or "pixel" (noise).
        recount: Largest number of boxes per image. The number is uniform in [1, recount].

    Raises:
        InputError: A value is unknown or out of range.
    """

    reprob: float = 0.0
    remode: str = "const"
    recount: int = 1

    def __post_init__(self) -> None:
        check_setting("reprob", self.reprob, 0 <= self.reprob <= 1, "from 0 to 1")
        check_setting("remode", self.remode, self.remode in MODES, f"one of {', '.join(MODES)}")
        check_setting("recount", self.recount, self.recount >= 1, "at least 1")

    @property
    def num_draws(self) -> int:
        """Number of uniform random numbers per image that `erased_boxes` uses."""
        return 2 + BOX_DRAWS * self.recount


def erase(
    images: tf.Tensor,
    draws: tf.Tensor,
    keys: SampleKeys,
    erasing: Erasing,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> tf.Tensor:
    """Erases random boxes of a batch of images.

    timm erases after normalization. The model normalizes, so the equivalent values are written before normalization:
    255 * (mean + std * noise), which are neither integers nor limited to [0, 255].

    Args:
        images: Tensor of shape (batch, height, width, channels), pixels in [0, 255].
        draws: Float32 tensor of shape (batch, erasing.num_draws), uniform in [0, 1).
        keys: Seed, epoch and indices of the images, for the noise.
        erasing: Settings.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].

    Returns:
        Float32 tensor of the shape of `images`.
    """
    height, width, channels = static_shape(images)[1:]
    pixels = tf.reshape(tf.cast(images, tf.float32), (-1, channels))  # (batch * height * width, channels)
    for number, boxes in enumerate(erased_boxes(draws, height, width, erasing)):
        positions = _positions(boxes, height, width)
        image = positions // (height * width)
        if erasing.remode == "const":
            noise = tf.zeros((tf.size(image), channels))
        elif erasing.remode == "rand":
            noise = tf.gather(_noise(keys, tf.fill(tf.shape(keys.indices), number), channels), image)
        else:
            pixel_keys = SampleKeys(keys.seed, keys.epoch, tf.gather(keys.indices, image))
            noise = _noise(pixel_keys, positions - image * (height * width), channels)
        values = 255.0 * (tf.constant(mean) + tf.constant(std) * noise)
        pixels = tf.tensor_scatter_nd_update(pixels, positions[:, None], values)
    return tf.reshape(pixels, (-1, height, width, channels))


def _positions(boxes: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the indices into (batch * height * width) of the pixels in boxes, int32 of shape (pixels,)."""
    top, left, box_heights, box_widths = tf.unstack(boxes, axis=1)
    first_rows = tf.range(tf.size(top)) * height + top  # counted through all images
    rows = tf.ragged.range(first_rows, first_rows + box_heights).flat_values
    image = rows // height
    first = rows * width + tf.gather(left, image)
    return tf.ragged.range(first, first + tf.gather(box_widths, image)).flat_values


def _noise(keys: SampleKeys, cells: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns standard normal noise of shape (cells, channels); every cell of an image draws from its own streams."""
    num_streams = -(-channels // 4)
    streams = NOISE_STREAM + cells[:, None] * num_streams + tf.range(num_streams)  # (cells, streams)
    return normal_draws(keys, streams)[:, :channels]


def erased_boxes(draws: tf.Tensor, height: int, width: int, erasing: Erasing) -> list[tf.Tensor]:
    """Draws the boxes to erase.

    The first of ten attempts that is smaller than the image along both axes is used.

    Args:
        draws: Float32 tensor of shape (batch, erasing.num_draws), uniform in [0, 1).
        height: Rows of the images.
        width: Columns of the images.
        erasing: Settings.

    Returns:
        A list of `erasing.recount` int32 tensors of shape (batch, 4): top, left, height, width. All zeros mean no box.
    """
    num_boxes = tf.where(draws[:, 0] < erasing.reprob, 1 + to_integer(draws[:, 1], erasing.recount), 0)
    box_areas = tf.cast(height * width, tf.float64) / tf.cast(tf.maximum(num_boxes, 1), tf.float64)
    all_boxes = []
    for number in range(erasing.recount):
        box_draws = draws[:, 2 + BOX_DRAWS * number : 2 + BOX_DRAWS * (number + 1)]
        box_heights, box_widths = draw_sides(box_draws, box_areas, AREA_RANGE, ASPECT_RANGE)
        is_valid = (box_heights < height) & (box_widths < width)
        box_heights, box_widths, has_valid = first_valid(box_heights, box_widths, is_valid)
        top = random_offsets(box_draws[:, -2], height, box_heights)
        left = random_offsets(box_draws[:, -1], width, box_widths)
        boxes = tf.stack([top, left, box_heights, box_widths], axis=1)  # (batch, 4)
        all_boxes.append(tf.where((has_valid & (number < num_boxes))[:, None], boxes, 0))
    return all_boxes
