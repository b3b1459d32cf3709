import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from fixtures.small_run import small_data

import keras_cct
from keras_cct.evaluation import evaluate
from keras_cct.training.distribution import local_distribution

TESTS = Path(__file__).parents[1]


@pytest.mark.tensorflow
def test_one_processor_is_one_replica():
    distribution = local_distribution()
    assert (distribution.num_devices, distribution.description) == (1, "MirroredStrategy on CPU:0")


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch trains on one device")
def test_two_devices_train_as_one_then_save_and_export(tmp_path):
    command = [sys.executable, TESTS / "fixtures" / "two_devices.py", tmp_path / "run"]
    environment = {"PYTHONPATH": str(TESTS), "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 2
    # Three steps of SGD on half the batch each equal three on the whole, but for the order of the sums.
    assert found["difference"] < 1e-5
    _, data = small_data("")
    from_keras, from_saved_model = (
        evaluate(keras_cct.load_predictor(tmp_path / "run" / name), data) for name in ("best.keras", "saved_model")
    )
    assert from_keras == from_saved_model


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="other backends only")
def test_other_backends_leave_the_accelerators_of_tensorflow_alone():
    import tensorflow as tf

    assert local_distribution().num_devices == 1
    assert tf.config.get_visible_devices("GPU") == []
