import numpy as np
import pytest
from fixtures.images import encoded, photo

from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.data.sources import cache
from keras_cct.data.sources.cache import cache_if_small


def images(count: int, sizes=((8, 9),)) -> EncodedImages:
    contents = [encoded(photo(*sizes[n % len(sizes)], phase=n), "PNG") for n in range(count)]
    return EncodedImages([f"image {n}" for n in range(count)], np.arange(count) % 2, ("a", "b"), contents)


def test_images_of_one_size_are_cached_in_order():
    data = cache_if_small(images(300))
    assert isinstance(data, LabeledImages)
    assert data.labels.tolist() == [0, 1] * 150
    np.testing.assert_array_equal(data.images[299], photo(8, 9, phase=299))


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (images(4, sizes=((8, 9), (9, 8))), {}),
        (images(4), {"MAX_ENCODED_BYTES": 100}),
        (images(4), {"MAX_DECODED_BYTES": 4 * 8 * 9 * 3 - 1}),
    ],
    ids=["different sizes", "large files", "many pixels"],
)
def test_other_images_stay_encoded(data, limits, monkeypatch):
    for name, value in limits.items():
        monkeypatch.setattr(cache, name, value)
    assert cache_if_small(data) is data
