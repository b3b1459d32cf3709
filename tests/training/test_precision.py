import contextlib

import keras
import pytest
from fixtures.small_run import first_images, small_recipe

from keras_cct.training import precision
from keras_cct.training.distribution import Distribution
from keras_cct.training.precision import choose_precision
from keras_cct.training.recipe_model import create_training_model


def one(device_kind: str) -> Distribution:
    return Distribution(contextlib.nullcontext, 1, device_kind, "a device")


@pytest.mark.parametrize(
    ("keys", "device_kind", "policy"),
    [
        ({"amp": False}, "GPU", "float32"),
        ({"amp": True}, "GPU", "mixed_bfloat16"),
        ({"amp": True}, "TPU", "mixed_bfloat16"),
        ({"amp": True, "amp_dtype": "float16"}, "GPU", "mixed_float16"),
        ({"amp": True, "amp_dtype": "float16"}, "CPU", "float32"),
    ],
)
def test_accelerators_compute_in_half_precision_where_asked(keys, device_kind, policy):
    chosen = choose_precision(small_recipe(**keys), one(device_kind))
    assert chosen.policy == policy
    assert bool(chosen.reason) == keys["amp"]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("flags", "policy", "reason"),
    [
        ("flags : sse avx512_bf16", "mixed_bfloat16", "amp: bfloat16, because this processor has avx512_bf16"),
        ("flags : sse amx_bf16", "mixed_bfloat16", "amp: bfloat16, because this processor has amx_bf16"),
        ("flags : sse avx2", "float32", "amp: off, because this processor has none of avx512_bf16, amx_bf16"),
    ],
)
def test_a_processor_computes_in_bfloat16_if_it_has_the_instructions(flags, policy, reason, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(precision, "PROCESSOR_FLAGS", tmp_path / "cpuinfo")
    chosen = choose_precision(small_recipe(amp=True), one("CPU"))
    assert (chosen.policy, chosen.reason) == (policy, reason)


def test_float16_trains_with_a_scaled_loss_and_float32_weights():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = create_training_model(small_recipe(), first_images("train", 1))
    finally:
        keras.config.set_dtype_policy(before)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.optimizer.initial_scale == 65536
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in model.trainable_weights} == {"float32"}
