import numpy as np
import pytest
import tensorflow as tf

import keras_cct
from keras_cct.data.contact_sheet import write_contact_sheet
from keras_cct.data.images import EncodedImages, LabeledImages

IMAGES = np.repeat(np.arange(1, 11, dtype="uint8")[:, None, None, None] * 20, 96, axis=1).repeat(96, axis=2)
DATA = LabeledImages(IMAGES, np.arange(10), tuple("abcdefghij"))


def encoded_data() -> EncodedImages:
    contents = [tf.io.encode_png(image).numpy() for image in IMAGES]
    return EncodedImages([f"image {n}" for n in range(10)], DATA.labels, DATA.class_names, contents, channels=1)


def sheet(data, path, **keys) -> np.ndarray:
    keys = {"smoothing": 0.0, "scale": [1.0, 1.0], "ratio": [1.0, 1.0], "hflip": 0, "epochs": 3} | keys
    recipe = keras_cct.load_recipe("sample", **keys)
    write_contact_sheet(data, recipe, (96, 96, 1), path)
    return tf.io.decode_png(path.read_bytes()).numpy()[..., 0]


def cells(picture: np.ndarray) -> np.ndarray:
    """Returns the gray value at the center of each cell, (rows, columns)."""
    return picture[48::98, 48::98].astype(int)


@pytest.mark.parametrize("make", [lambda: DATA, encoded_data], ids=["arrays", "encoded"])
def test_rows_show_an_image_and_its_augmented_versions(make, tmp_path):
    gray = cells(sheet(make(), tmp_path / "sheet.png"))
    assert gray.shape == (8, 4)
    assert len(set(gray[:, 0])) == 8
    np.testing.assert_array_equal(gray, np.repeat(gray[:, :1], 4, axis=1))


def test_images_are_mixed_with_images_of_other_rows(tmp_path):
    gray = cells(sheet(DATA, tmp_path / "sheet.png", mixup=1.0))
    assert (gray[:, 1:] != gray[:, :1]).any()
    sums = gray + gray[::-1]
    np.testing.assert_allclose(sums, np.repeat(sums[:, :1], 4, axis=1), atol=1)  # mixing keeps the sum of a pair


def test_noise_outside_the_pixel_range_is_clipped(tmp_path):
    picture = sheet(DATA, tmp_path / "sheet.png", reprob=1.0, remode="pixel")
    assert (picture[:, 98:] == 0).any()


def test_dataset_of_one_image_has_a_sheet(tmp_path):
    one = LabeledImages(IMAGES[:1], DATA.labels[:1], DATA.class_names)
    assert cells(sheet(one, tmp_path / "sheet.png")).shape == (1, 4)
