import matplotlib
import numpy as np
import pytest

import keras_cct

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype="uint8")
VALUES = np.arange(6.0).reshape(3, 2)


def test_an_opaque_map_has_the_colors_of_matplotlib():
    picture = keras_cct.overlay(IMAGE, VALUES, interpolation="nearest", color_map="magma", alpha=1)
    colors = matplotlib.colormaps["magma"](VALUES / 5)[..., :3]
    expected = np.round(255 * colors).astype("uint8").repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(picture, expected)


def test_a_transparent_map_leaves_the_image():
    np.testing.assert_array_equal(keras_cct.overlay(IMAGE, VALUES, alpha=0), IMAGE)
    gray = keras_cct.overlay(IMAGE[..., :1].astype("float32"), VALUES, alpha=0)
    np.testing.assert_array_equal(gray, IMAGE[..., [0, 0, 0]])


def test_half_of_each_is_the_default():
    image, color = keras_cct.overlay(IMAGE, VALUES, alpha=0), keras_cct.overlay(IMAGE, VALUES, alpha=1)
    mean = (image.astype("float32") + color) / 2
    np.testing.assert_allclose(keras_cct.overlay(IMAGE, VALUES), mean, atol=1)


def test_interpolation_changes_the_picture():
    pictures = [keras_cct.overlay(IMAGE, VALUES, interpolation=name) for name in ("nearest", "bilinear", "bicubic")]
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_a_constant_map_has_the_lowest_color():
    picture = keras_cct.overlay(IMAGE, np.full((3, 2), 0.1), alpha=1)
    assert (picture == np.round(255 * np.array(matplotlib.colormaps["viridis"](0.0)[:3]))).all()


def test_the_grid_has_a_row_per_block_and_a_column_per_head():
    model = keras_cct.CVT(input_shape=IMAGE.shape, num_layers=3, num_heads=2, dim=8, patch_size=2, attention_type="spd")
    explanation = keras_cct.explain(model, IMAGE[None])
    for manifold in (None, "spd"):
        grid = keras_cct.head_grid(IMAGE, explanation, manifold=manifold, color_map="gray")
        assert grid.shape == (3 * 12 + 2 * 4, 2 * 8 + 4, 3)
        head = explanation.head_maps(manifold)[0, 2, 1]
        np.testing.assert_array_equal(grid[-12:, -8:], keras_cct.overlay(IMAGE, head, color_map="gray"))
    with pytest.raises(keras_cct.InputError, match="index must be an index of the 1 explained images, got 1"):
        keras_cct.head_grid(IMAGE, explanation, 1)


@pytest.mark.parametrize(
    ("image", "values", "style", "message"),
    [
        (IMAGE[0], VALUES, {}, "image must have shape"),
        (IMAGE[..., :2], VALUES, {}, "(12, 8, 2)"),
        (IMAGE, VALUES[None], {}, "(1, 3, 2)"),
        (IMAGE, VALUES * np.nan, {}, "values contains NaN or infinity"),
        (IMAGE, "map", {}, "values must be an array of shape (rows, columns), got str"),
        ([[1, 2], [3]], VALUES, {}, "image must be an array"),
        (IMAGE[:0], VALUES, {}, "(0, 8, 3)"),
        (IMAGE, VALUES, {"color_map": 5}, "color_map=5"),
        (IMAGE, VALUES, {"interpolation": "cubic"}, "interpolation='cubic'"),
        (IMAGE, VALUES, {"color_map": "virids"}, "Did you mean 'viridis'"),
        (IMAGE, VALUES, {"color_map": "qqqq"}, "color_map='qqqq'"),
        (IMAGE, VALUES, {"alpha": 1.5}, "alpha must be a number in [0, 1], got 1.5"),
        (IMAGE, VALUES, {"alpha": "0.5"}, "alpha must be"),
    ],
)
def test_bad_arguments_are_one_line(image, values, style, message):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.overlay(image, values, **style)
    assert message in str(error.value)
