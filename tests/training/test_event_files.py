import tensorflow as tf

from keras_cct.training.event_files import event_writer


def test_rows_become_scalars_by_epoch(tmp_path):
    write = event_writer(tmp_path)
    for epoch, loss in enumerate((2.5, 1.5)):
        write({"epoch": epoch, "train_loss": loss, "eval_top1": 10.0 * epoch})
    (file,) = tmp_path.iterdir()
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    scalars = [(event.step, value) for event in events for value in event.summary.value]
    found = [(step, value.tag, float(tf.make_ndarray(value.tensor))) for step, value in scalars]
    assert found == [(0, "train_loss", 2.5), (0, "eval_top1", 0.0), (1, "train_loss", 1.5), (1, "eval_top1", 10.0)]
    assert {value.metadata.plugin_data.plugin_name for _, value in scalars if value.HasField("metadata")} == {"scalars"}


def test_nothing_is_written_without_rows(tmp_path):
    event_writer(tmp_path)
    events = [record for file in tmp_path.iterdir() for record in tf.data.TFRecordDataset(str(file))]
    assert len(events) == 1  # the version of the format
