import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.small_run import first_images, small_data, small_recipe

import keras_cct
from keras_cct.data.shard import Shard
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.training import devices
from keras_cct.training.devices import Distribution, choose_precision, local_distribution
from keras_cct.training.setup import create_training_model, plan_training

LOSSES = [0.1188157, 0.2484623, 0.2062378, 0.2049619, 0.1920624, 0.1907702, 0.1918552, 0.1827978, 0.1773881, 0.1713377]
"""Running losses of `losses_of_ten_steps` on one device."""

TESTS = Path(__file__).parents[1]


@pytest.mark.tensorflow
def test_one_cpu_is_one_replica():
    distribution = local_distribution()
    assert (distribution.num_devices, distribution.description) == (1, "MirroredStrategy on CPU:0")


@pytest.mark.one_backend
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch trains on one device")
def test_two_devices_train_as_one_then_save_and_export(tmp_path):
    command = [sys.executable, TESTS / "fixtures" / "two_devices.py", tmp_path / "run"]
    environment = {
        "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 2
    # Steps of two devices on half the batch each equal steps on the whole batch, up to the order of summation.
    assert found["difference"] < 1e-5
    np.testing.assert_allclose(found["losses"], LOSSES, rtol=1e-5)  # of both backends
    _, data = small_data("")
    from_keras, from_saved_model = (
        evaluate(keras_cct.load_predictor(tmp_path / "run" / name), data).top1 for name in ("best.keras", "saved_model")
    )
    assert from_keras == from_saved_model


@pytest.mark.parametrize("devices", ["1", "cpu", "all"])
def test_a_machine_without_accelerators_has_one_cpu(devices):
    distribution = local_distribution(devices)
    assert (distribution.num_devices, distribution.device_type) == (1, "CPU")
    assert distribution.is_first_process


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("2", "devices=2, but there are only 1. Choose at most 1"),
        ("0", "devices must be all, cpu or a number of at least 1, got '0'"),
        ("1.5", "devices must be"),
        ("gpu", "devices must be"),
        ("", "devices must be"),
    ],
)
def test_impossible_numbers_of_devices_are_refused(devices, message):
    with pytest.raises(keras_cct.InputError, match=message):
        local_distribution(devices)


@pytest.mark.parametrize(
    ("batch_size", "mixes_images", "multiple"), [(6, False, None), (6, True, 12), (12, True, None), (8, False, 6)]
)
def test_a_batch_is_divided_among_devices_with_both_images_of_every_pair(batch_size, mixes_images, multiple):
    distribution = Distribution(contextlib.nullcontext, 6, "CPU", "two processes of three devices", Shard(0, 2))
    if multiple is None:
        distribution.check_batch_size(batch_size, mixes_images)
        return
    with pytest.raises(keras_cct.InputError, match=f"multiple of {multiple}, .* got {batch_size}"):
        distribution.check_batch_size(batch_size, mixes_images)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="other backends only")
def test_other_backends_leave_the_accelerators_of_tensorflow_alone():
    import tensorflow as tf

    assert local_distribution().num_devices == 1
    assert tf.config.get_visible_devices("GPU") == []


def one(device_type: str) -> Distribution:
    return Distribution(contextlib.nullcontext, 1, device_type, "a device")


@pytest.mark.parametrize(
    ("checkpoints", "device_type", "flags", "warns"),
    [
        (True, "CPU", "", True),
        (True, "CPU", f"--xla_dump_to=a {devices.MEMORY_FLAG}", False),
        (True, "GPU", "", False),
        (False, "CPU", "", False),
    ],
)
def test_checkpointing_that_saves_no_memory_warns_with_the_flag(
    checkpoints, device_type, flags, warns, caplog, monkeypatch
):
    monkeypatch.setenv("XLA_FLAGS", flags)
    devices.warn_of_useless_checkpointing(small_recipe(checkpoint_activations=checkpoints), one(device_type))
    assert (devices.MEMORY_FLAG in caplog.text) == (warns and keras.backend.backend() == "jax")


@pytest.mark.parametrize(
    ("keys", "device_type", "policy"),
    [
        ({"amp": False}, "GPU", "float32"),
        ({"amp": True}, "GPU", "mixed_bfloat16"),
        ({"amp": True}, "TPU", "mixed_bfloat16"),
        ({"amp": True, "amp_dtype": "float16"}, "GPU", "mixed_float16"),
        ({"amp": True, "amp_dtype": "float16"}, "CPU", "float32"),
    ],
)
def test_accelerators_use_mixed_precision_if_the_recipe_asks_for_it(keys, device_type, policy):
    chosen = choose_precision(small_recipe(**keys), one(device_type))
    assert chosen.policy == policy
    assert bool(chosen.reason) == keys["amp"]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("flags", "policy", "reason"),
    [
        ("flags : sse avx512_bf16", "mixed_bfloat16", "amp: bfloat16, because this CPU has avx512_bf16"),
        ("flags : sse amx_bf16", "mixed_bfloat16", "amp: bfloat16, because this CPU has amx_bf16"),
        ("flags : sse avx2", "float32", "amp: off, because this CPU has none of avx512_bf16, amx_bf16"),
    ],
)
def test_cpus_use_bfloat16_if_they_have_the_instructions(flags, policy, reason, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    chosen = choose_precision(small_recipe(amp=True), one("CPU"))
    assert (chosen.policy, chosen.reason) == (policy, reason)


def test_float16_trains_with_a_scaled_loss_and_float32_weights():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = create_training_model(plan_training(small_recipe(), 16), first_images("train", 1))
    finally:
        keras.config.set_dtype_policy(before)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.optimizer.initial_scale == 65536
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.trainable_weights} == {"float32"}
