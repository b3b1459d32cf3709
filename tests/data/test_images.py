import numpy as np
import pytest
import tensorflow as tf
from fixtures.images import encoded, photo

from keras_cct.data import images as images_module
from keras_cct.data.images import EncodedImages, RecordImages
from keras_cct.data.unreadable import raising_input_errors
from keras_cct.errors import InputError

COUNT = 12
CONTENTS = [encoded(photo(10 + number, 20, phase=number), "PNG") for number in range(COUNT)]
LABELS = np.arange(COUNT) % 3
CLASS_NAMES = ("a", "b", "c")


def in_memory(contents=CONTENTS, **settings) -> EncodedImages:
    return EncodedImages([f"image {number}" for number in range(COUNT)], LABELS, CLASS_NAMES, contents, **settings)


def in_files(folder) -> EncodedImages:
    paths = [folder / f"{number}.png" for number in range(COUNT)]
    for path, content in zip(paths, CONTENTS, strict=True):
        path.write_bytes(content)
    return EncodedImages([str(path) for path in paths], LABELS, CLASS_NAMES)


def in_records(contents=CONTENTS) -> RecordImages:
    records = tf.data.Dataset.from_tensor_slices((contents, tf.constant(LABELS, tf.int64)))
    return RecordImages(records, COUNT, 100, CLASS_NAMES, "tfds/pets train")


def make(source: str, folder):
    return {"memory": in_memory, "files": lambda: in_files(folder), "records": in_records}[source]()


def read_all(data, items: tf.data.Dataset) -> list[tuple[int, np.ndarray, int]]:
    dataset = items.map(lambda *item: (item[0], *data.read(*item)), num_parallel_calls=2)
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("source", ["memory", "files", "records"])
def test_in_order_reads_every_image_with_its_label(source, tmp_path):
    data = make(source, tmp_path)
    assert (len(data), data.image_shape) == (COUNT, (None, None, 3))
    found = read_all(data, data.in_order())
    assert [index for index, _, _ in found] == list(range(COUNT))
    assert [label for _, _, label in found] == list(LABELS)
    for number, image, _ in found:
        np.testing.assert_array_equal(image, photo(10 + number, 20, phase=number))


@pytest.mark.parametrize("source", ["memory", "files", "records"])
def test_seed_and_epoch_decide_the_order(source, tmp_path):
    data = make(source, tmp_path)

    def shuffled(seed, epoch, num_skipped=0) -> tf.data.Dataset:
        return data.shuffled(seed, tf.constant(epoch), tf.constant(num_skipped))

    def order(*arguments, **settings):
        return [int(index) for index, *_ in shuffled(*arguments, **settings).as_numpy_iterator()]

    first = order(0, 0)
    assert sorted(first) == list(range(COUNT))
    found = [(int(index), label) for index, _, label in read_all(data, shuffled(0, 0))]
    assert found == [(index, LABELS[index]) for index in first]
    assert order(0, 0) == first
    assert len({tuple(found) for found in (first, order(0, 1), order(1, 0))}) == 3
    assert order(0, 0, num_skipped=5) == first[5:]


def test_gray_images_can_stay_gray():
    data = in_memory([encoded(photo(10, 20, "L"), "JPEG")] * COUNT, channels=1)
    image, _ = data.read(tf.constant(0))
    assert image.shape == (10, 20, 1)


def test_records_are_shuffled_in_windows(monkeypatch):
    monkeypatch.setattr(images_module, "WINDOW_BYTES", 400)
    data = in_records()
    indices = [int(index) for index, _, _ in data.shuffled(0, tf.constant(0), tf.constant(0))]
    windows = [indices[start : start + 4] for start in (0, 4, 8)]
    assert [sorted(window) for window in windows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert windows[0] != [0, 1, 2, 3]
    assert len({tuple(index % 4 for index in window) for window in windows}) > 1


def test_unreadable_images_are_replaced_by_the_next_image(caplog):
    broken = [content[:60] if number in (3, 4, 11) else content for number, content in enumerate(CONTENTS)]
    data = in_memory(broken)
    for _ in range(2):
        found = read_all(data, data.in_order())
        assert [label for _, _, label in found] == [LABELS[n] for n in (0, 1, 2, 5, 5, 5, 6, 7, 8, 9, 10, 0)]
        np.testing.assert_array_equal(found[3][1], found[5][1])
    messages = sorted(record.getMessage() for record in caplog.records)
    assert [message.split(" cannot be read")[0] for message in messages] == ["'image 11'", "'image 3'", "'image 4'"]


def test_missing_files_are_unreadable_images(tmp_path, caplog):
    data = in_files(tmp_path)
    (tmp_path / "0.png").unlink()
    _, label = data.read(tf.constant(0))
    assert int(label) == 1
    assert f"'{tmp_path / '0.png'}' cannot be read" in caplog.text


def test_too_many_unreadable_images_are_one_error():
    data = in_memory([b"no picture"] * COUNT)
    message = "cannot be read, .* 'image .*'"
    with pytest.raises(InputError, match=message), raising_input_errors(data):
        read_all(data, data.in_order())


def test_unreadable_record_is_an_error():
    data = in_records([*CONTENTS[:4], b"no picture", *CONTENTS[5:]])
    message = "1 of 12 images cannot be read, .* 'image 4 of tfds/pets train'"
    with pytest.raises(InputError, match=message), raising_input_errors(data):
        read_all(data, data.in_order())
