import numpy as np
import pytest
import tensorflow as tf
from fixtures.golden_recipe import GOLDEN, INPUT, MODES, run

from keras_cct.data.augment.affine import Resampling, affine_transform
from keras_cct.data.augment.operations import (
    INCREASING_NAMES,
    OPERATIONS,
    PLAIN_NAMES,
    AffineOperation,
    apply_operations,
)

CASES = GOLDEN["op_images"]["outputs"]
LEVELS = GOLDEN["randaugment"]["levels"]


def case_name(case: dict) -> str:
    return " ".join(str(case[key]) for key in ("op", "arg", "interpolation") if key in case)


def resampling(count: int, interpolation: str = "bilinear", fill: tuple[int, ...] = (0, 0, 0)) -> Resampling:
    return Resampling(tf.fill([count], interpolation == "bicubic"), tuple(fill))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_operations_match_golden_images(case, mode):
    operation = OPERATIONS[case["op"]]
    inputs = np.stack([INPUT, INPUT[::-1, ::-1]])  # a second image, which must not affect the first

    def apply(images, arguments):
        if isinstance(operation, AffineOperation):
            matrices = operation.matrices(arguments, *INPUT.shape[:2])
            fill = resampling(2, case["interpolation"], case["fill"])
            return affine_transform(images, matrices, fill, operation.axes)
        return operation.apply(images, *([arguments] if operation.argument else []))

    found = run(mode, apply, inputs, np.array([case["arg"] or 0] * 2, dtype="float64"))
    wanted = np.reshape(case["output"], INPUT.shape)
    assert found.dtype == "uint8"
    if isinstance(operation, AffineOperation):
        difference = np.abs(found[0].astype(int) - wanted).max(axis=-1)
        assert (difference <= 1).mean() >= 0.99
    else:
        np.testing.assert_array_equal(found[0], wanted)


@pytest.mark.parametrize("name", INCREASING_NAMES)
def test_arguments_match_golden_levels(name):
    levels = {float(level): argument for level, argument in LEVELS[name].items()}
    if OPERATIONS[name].argument is None:
        assert set(levels.values()) == {None}
        return
    strengths = tf.constant([level / 10 for level in levels], tf.float64)
    for key, sign in (("plus", 1.0), ("minus", -1.0)):
        found = OPERATIONS[name].argument(strengths, tf.fill(strengths.shape, tf.constant(sign, tf.float64))).numpy()
        wanted = [value[key] if isinstance(value, dict) else value for value in levels.values()]
        np.testing.assert_array_equal(found, wanted)


def test_increasing_operations_equal_those_of_timm():
    assert list(INCREASING_NAMES) == GOLDEN["randaugment"]["ops"]
    replaced = {plain for plain, name in zip(PLAIN_NAMES, INCREASING_NAMES, strict=True) if plain != name}
    assert replaced == {"Posterize", "Solarize", "Color", "Contrast", "Brightness", "Sharpness"}


@pytest.mark.parametrize("mode", MODES)
def test_each_image_gets_its_chosen_operation(mode):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 8, 8, 3), dtype="uint8")
    names = ("Identity", *INCREASING_NAMES)
    choices = random.integers(0, len(names), 40).astype("int32")
    levels, signs = random.uniform(0, 10, 40), random.choice([-1.0, 1.0], 40)

    def apply(images, choices, levels, signs):
        return apply_operations(images, names, choices, levels, signs, resampling(40, "bicubic"))

    found = run(mode, apply, images, choices, levels, signs)
    for row in range(40):
        alone = apply_operations(
            tf.constant(images[row : row + 1]),
            (names[choices[row]],),
            tf.constant([0]),
            tf.constant(levels[row : row + 1]),
            tf.constant(signs[row : row + 1]),
            resampling(1, "bicubic"),
        )
        np.testing.assert_array_equal(found[row], alone[0])


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_accept_gray_images_and_empty_batches(name):
    for count in (0, 2):
        images = tf.zeros((count, 7, 5, 1), tf.uint8)
        choices, signs = tf.zeros(count, tf.int32), tf.ones(count, tf.float64)
        found = apply_operations(images, (name,), choices, signs * 9, signs, resampling(count, fill=(3,)))
        assert found.shape == images.shape
