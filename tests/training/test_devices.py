import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from fixtures.small_run import first_images, small_data, small_recipe

import keras_cct
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.training import devices
from keras_cct.training.devices import Distribution, choose_precision, local_distribution
from keras_cct.training.setup import create_training_model, plan_training

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
    _, data = small_data("")
    from_keras, from_saved_model = (
        evaluate(keras_cct.load_predictor(tmp_path / "run" / name), data).top1 for name in ("best.keras", "saved_model")
    )
    assert from_keras == from_saved_model


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="other backends only")
def test_other_backends_leave_the_accelerators_of_tensorflow_alone():
    import tensorflow as tf

    assert local_distribution().num_devices == 1
    assert tf.config.get_visible_devices("GPU") == []


def one(device_type: str) -> Distribution:
    return Distribution(contextlib.nullcontext, 1, device_type, "a device")


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
