import pytest
import tensorflow as tf

from keras_cct.data.images import RecordImages
from keras_cct.data.unreadable import UnreadableImages, first_readable, raising_input_errors
from keras_cct.errors import InputError


def reading(attempt: tf.Tensor) -> tuple[tf.Tensor]:
    """Fails for attempts 0 and 1."""
    with tf.control_dependencies([tf.debugging.assert_greater(attempt, tf.constant(1, tf.int64))]):
        return (tf.identity(attempt) * 10,)


@pytest.mark.parametrize(("attempts", "wanted"), [(5, (20, 2)), (2, (-1, 2))])
def test_first_successful_attempt_is_returned(attempts, wanted):
    blank = (tf.constant(-1, tf.int64),)
    assert tuple(int(value) for value in first_readable(reading, blank, attempts)) == wanted
    dataset = tf.data.Dataset.range(1).map(lambda _: first_readable(reading, blank, attempts))
    assert [tuple(map(int, values)) for values in dataset] == [wanted]


@pytest.mark.parametrize(("count", "most"), [(20, 10), (2000, 20)])
def test_ten_images_or_one_percent_may_be_unreadable(count, most, caplog):
    notes = UnreadableImages(count, "image {}".format)
    for index in range(0, 2 * most, 2):
        notes.note(index, 1)
        notes.note(index, 1)  # the next epoch
    assert len(caplog.records) == most
    assert caplog.records[-1].getMessage().endswith(f"({most} of at most {most})")
    with pytest.raises(InputError, match=f"{most + 1} of {count} images cannot be read, .* 'image 1'"):
        notes.note(1, 1)


def test_fifty_consecutive_images_are_too_many():
    notes = UnreadableImages(100_000, "image {}".format)
    notes.note(0, 49)
    with pytest.raises(InputError, match="50 consecutive images cannot be read, .* 'image 50'"):
        notes.note(1, 50)


def test_other_errors_of_tensorflow_are_not_converted():
    with pytest.raises(tf.errors.InvalidArgumentError), raising_input_errors(object()):
        tf.io.decode_png(b"")


def test_missing_records_are_an_input_error(tmp_path):
    records = tf.data.TFRecordDataset(str(tmp_path / "gone.tfrecord"))
    split = RecordImages(records, 1, 10, ("a",), "tfds/pets:1.0.0 train")
    message = r"cannot read the records of the dataset: .*gone.tfrecord; No such file"
    with pytest.raises(InputError, match=message), raising_input_errors(split):
        list(records)
