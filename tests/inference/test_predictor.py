import numpy as np
import pytest

from keras_cct.errors import InputError
from keras_cct.inference.predictor import check_images, predict_in_batches


@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_images_is_predicted_in_batches_of_the_size_of_the_artifact(count, batch_size):
    sizes = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        assert pixels.dtype == np.float32
        sizes.append(len(pixels))
        return pixels[:, 0, 0]

    images = np.arange(count, dtype="uint8").reshape(count, 1, 1, 1)
    np.testing.assert_array_equal(predict_in_batches(predict, images, batch_size), images[:, 0, 0])
    assert set(sizes) == {batch_size or max(count, 1)}


def test_images_of_another_shape_or_without_numbers_are_refused():
    check_images(np.zeros((2, 4, 4, 3), "uint8"), (4, 4, 3))
    for images in (np.zeros((4, 4, 3)), np.zeros((2, 4, 4, 1)), [[1, 2]]):
        with pytest.raises(InputError, match="but the model takes .batch, 4, 4, 3."):
            check_images(images, (4, 4, 3))
    with pytest.raises(InputError, match="must contain numbers"):
        check_images(np.full((1, 4, 4, 3), "a"), (4, 4, 3))
    with pytest.raises(InputError, match="NaN or infinite"):
        check_images(np.full((1, 4, 4, 3), np.inf), (4, 4, 3))
