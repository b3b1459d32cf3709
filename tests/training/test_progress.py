import logging

import pytest

from keras_cct.training import progress
from keras_cct.training.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_times_are_told_in_two_units(seconds, words):
    assert duration(seconds) == words


def test_lines_tell_throughput_and_time_left(monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    caplog.set_level(logging.INFO, "keras_cct")
    callback = Progress(num_epochs=3, num_steps=10, batch_size=64, first_step=4)
    metrics = {"loss": 2.0, "val_top1": 0.5, "val_top5": 0.9}
    callback.on_epoch_begin(0)
    for batch in range(6):  # the last six of ten steps, 8 seconds each
        clock[0] += 8.0
        callback.on_train_batch_end(batch, {"loss": 2.0})
    clock[0] += 4.0
    callback.on_epoch_end(0, metrics)
    step, epoch = caplog.messages
    # Four steps are done of six after 32 seconds: two are left, and two epochs of ten.
    assert step == "epoch 1 of 3, step 8 of 10: loss 2.0000, 8 images/s, 2 min 56 s left"
    assert epoch == "epoch 1 of 3: loss 2.0000, top-1 50.00 %, top-5 90.00 %, 8 images/s, 2 min 48 s left"
