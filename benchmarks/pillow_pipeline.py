"""The training augmentation as timm runs it: Pillow and NumPy, one image at a time, in worker processes.

An independent implementation of the recipe, for `input_pipeline.py` to compare with. It does not import TensorFlow, so
that workers start quickly.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

RESAMPLING = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
SOLARIZE_THRESHOLD = 128


@dataclasses.dataclass(frozen=True)
class PillowRecipe:
    """The numbers of the recipe, as in the CIFAR-10 and ImageNet configs except for the sizes.

    Args:
        source_size: Height and width of the source images.
        size: Height and width of the augmented images.
        scale: Smallest and largest fraction of the image area to crop.
        mean: Mean of each channel, pixels in [0, 1].
        std: Standard deviation of each channel, pixels in [0, 1].
        batch_size: Images per batch.
    """

    source_size: int
    size: int
    scale: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    batch_size: int

    @property
    def fill_color(self) -> tuple[int, ...]:
        """Value of each channel for pixels from outside an image."""
        return tuple(min(255, round(255 * mean)) for mean in self.mean)


def crop(image: Image.Image, recipe: PillowRecipe, random: np.random.Generator) -> Image.Image:
    """Crops a random box, resizes it and flips half of the images horizontally."""
    width, height = image.size
    left, top, crop_width, crop_height = 0, 0, width, height  # the fallback for square images
    for _ in range(10):
        area = width * height * random.uniform(*recipe.scale)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        tried_width, tried_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if tried_width <= width and tried_height <= height:
            crop_width, crop_height = tried_width, tried_height
            top, left = random.integers(height - crop_height + 1), random.integers(width - crop_width + 1)
            break
    image = image.crop((left, top, left + crop_width, top + crop_height))
    image = image.resize((recipe.size, recipe.size), RESAMPLING[random.integers(2)])
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def _enhance(enhancer: type) -> Callable[..., Image.Image]:
    return lambda image, strength, sign, _: enhancer(image).enhance(1.0 + sign * (strength * 0.9))


def _affine(matrix: Callable) -> Callable[..., Image.Image]:
    def apply(image: Image.Image, strength: float, sign: int, resampling: dict) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix(sign * strength, image.size), **resampling)

    return apply


def _posterize(image: Image.Image, strength: float, *_: object) -> Image.Image:
    bits = 4 - int(strength * 4)
    return ImageOps.posterize(image, bits) if bits else Image.new(image.mode, image.size)


def _solarize_add(image: Image.Image, strength: float, *_: object) -> Image.Image:
    addition = min(128, int(strength * 110))
    table = [min(255, value + addition) if value < SOLARIZE_THRESHOLD else value for value in range(256)]
    return image.point(table * len(image.getbands()))


OPERATIONS = (
    lambda image, *_: ImageOps.autocontrast(image),
    lambda image, *_: ImageOps.equalize(image),
    lambda image, *_: ImageOps.invert(image),
    lambda image, strength, sign, resampling: image.rotate(sign * strength * 30, **resampling),
    _posterize,
    lambda image, strength, *_: ImageOps.solarize(image, 256 - min(256, int(strength * 256))),
    _solarize_add,
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    _affine(lambda amount, _: (1, 0.3 * amount, 0, 0, 1, 0)),
    _affine(lambda amount, _: (1, 0, 0, 0.3 * amount, 1, 0)),
    _affine(lambda amount, size: (1, 0, 0.45 * amount * size[0], 0, 1, 0)),
    _affine(lambda amount, size: (1, 0, 0, 0, 1, 0.45 * amount * size[1])),
)


def rand_augment(image: Image.Image, recipe: PillowRecipe, random: np.random.Generator) -> Image.Image:
    """Applies "rand-m9-mstd0.5-inc1"."""
    for choice in random.integers(len(OPERATIONS), size=2):
        if random.random() < 0.5:
            strength = min(10.0, max(0.0, random.normal(9, 0.5))) / 10
            resampling = {"resample": RESAMPLING[random.integers(2)], "fillcolor": recipe.fill_color}
            image = OPERATIONS[choice](image, strength, 1 if random.random() < 0.5 else -1, resampling)
    return image


def mix(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Applies Mixup (alpha 0.8) or CutMix (alpha 1) to a batch of uint8 images."""
    size = images.shape[1]
    if random.random() < 0.5:
        cut = int(size * math.sqrt(1 - random.beta(1.0, 1.0)))
        row, column = random.integers(size, size=2)
        rows = slice(max(0, row - cut // 2), min(size, row + cut // 2))
        columns = slice(max(0, column - cut // 2), min(size, column + cut // 2))
        mixed = images.copy()
        mixed[:, rows, columns] = images[::-1, rows, columns]
        return mixed
    ratio = np.float32(random.beta(0.8, 0.8))
    mixed = np.empty_like(images)
    for row, image in enumerate(images):  # one by one, as in timm; a whole batch of floats would not fit into the cache
        blended = image.astype("float32") * ratio + images[-1 - row].astype("float32") * (1 - ratio)
        mixed[row] = np.rint(blended, out=blended)
    return mixed


def erase(images: np.ndarray, recipe: PillowRecipe, random: np.random.Generator) -> None:
    """Fills a random box of a quarter of the images with noise, in place."""
    size = images.shape[1]
    mean, std = np.float32(recipe.mean), np.float32(recipe.std)
    for image in images:
        if random.random() >= 0.25:
            continue
        for _ in range(10):
            area = size * size * random.uniform(0.02, 1 / 3)
            aspect = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < size and width < size:
                top, left = random.integers(size - height + 1), random.integers(size - width + 1)
                noise = random.standard_normal((height, width, 3), dtype="float32")
                image[top : top + height, left : left + width] = 255 * (mean + std * noise)
                break


def make_batch(images: np.ndarray, recipe: PillowRecipe, random: np.random.Generator) -> np.ndarray:
    """Returns a float32 batch of random images."""
    chosen = random.integers(len(images), size=recipe.batch_size)
    augmented = [
        np.asarray(rand_augment(crop(Image.fromarray(images[index]), recipe, random), recipe, random))
        for index in chosen
    ]
    batch = mix(np.stack(augmented), random).astype("float32")
    erase(batch, recipe, random)
    return batch


def work(connection: Connection, recipe: PillowRecipe, num_images: int, seed: int) -> None:
    """Serves a connection: gets seconds, makes batches, and sends back number of images, time and last mean pixel."""
    random = np.random.default_rng(seed)
    images = source_images(num_images, recipe.source_size)
    while (seconds := connection.recv()) is not None:
        num_batches, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds or num_batches == 0:
            mean = float(make_batch(images, recipe, random).mean())
            num_batches += 1
        connection.send((num_batches * recipe.batch_size, time.perf_counter() - start, mean))


def source_images(count: int, size: int) -> np.ndarray:
    """Returns images of smooth random patterns, uint8 of shape (count, size, size, 3)."""
    random = np.random.default_rng(0)
    images = np.empty((count, size, size, 3), dtype="uint8")
    for row in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (size // 8, size // 8, 3), dtype="uint8"))
        images[row] = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
    return images
