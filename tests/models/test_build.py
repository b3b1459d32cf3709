import contextlib
import dataclasses
import functools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.golden import CASES, MANIFOLD_CASES, VISION_CASES, golden_images, golden_model, parameters_of_cases
from fixtures.golden_recipe import GOLDEN as GOLDEN_RECIPE
from fixtures.precision import float64

import keras_cct
from keras_cct.data.sample import load_sample

FAMILIES = {
    "cct": keras_cct.ModelConfig("cct", (12, 8, 3), 5, 2, 2, 8, 1.0, kernel_size=3, num_conv_layers=1),
    "cvt": keras_cct.ModelConfig("cvt", (12, 8, 3), 5, 2, 2, 8, 1.0, patch_size=4),
    "vit": keras_cct.ModelConfig("vit", (12, 8, 3), 5, 2, 2, 8, 1.0, patch_size=4),
}
ON_MANIFOLDS = {
    "all": dataclasses.replace(FAMILIES["vit"], attention_type="all"),
    "gm": dataclasses.replace(FAMILIES["cvt"], attention_type="gm"),
    "spd": dataclasses.replace(FAMILIES["cct"], attention_type="spd"),
    "grassmann": dataclasses.replace(FAMILIES["vit"], attention_type="grassmann", observability=(2, 3)),
}


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def logits_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return to_numpy(model(images, training=False))


@functools.cache
def golden_outputs(name: str) -> tuple[int, list[np.ndarray]]:
    """Returns the parameters of a case's model, and its tokens, its features and its logits."""
    model = golden_model(name)
    # The reference implementation adds the position embedding in place, so its tokens include it unless a class token
    # is concatenated before.
    has_sum = not name.startswith("vit_") and CASES[name]["position_embedding"] != "none"
    layer = model.get_layer("position_embedding" if has_sum else "tokenizer")
    parts = keras.Model(model.input, [layer.output, model.layers[-2].output, model.output])
    return model.count_params(), [to_numpy(part) for part in parts(golden_images(name), training=False)]


@pytest.mark.parametrize("name", parameters_of_cases(VISION_CASES))
def test_golden_logits_and_parameters(name):
    # The golden numbers come from float64; 1e-4 leaves room for float32 through 14 blocks.
    case, (num_params, (_, _, logits)) = CASES[name], golden_outputs(name)
    np.testing.assert_allclose(logits[:, :10], case["logits"], atol=1e-4)
    np.testing.assert_allclose(logits.sum(axis=1), case["logits_sum"], atol=1e-3)
    assert num_params == case["num_params"]


@pytest.mark.parametrize("name", parameters_of_cases(MANIFOLD_CASES))
def test_golden_logits_and_parameters_on_manifolds(name):
    case = CASES[name]
    # Each block of a Grassmannian model amplifies rounding errors tenfold or more: by 0.5 in float32, also in PyTorch.
    with float64() if name.startswith("grassmanian_") else contextlib.nullcontext():
        model = golden_model(name)
        logits = logits_of(model, golden_images(name))
    np.testing.assert_allclose(logits[:, :10], case["logits"], atol=1e-4)
    np.testing.assert_allclose(logits.sum(axis=1), case["logits_sum"], atol=1e-3)
    assert model.count_params() == case["num_params"]


@pytest.mark.one_backend
@pytest.mark.parametrize("name", parameters_of_cases(VISION_CASES))
def test_golden_tokens_and_features(name):
    case, (_, (tokens, features, _)) = CASES[name], golden_outputs(name)
    assert tokens.shape[1] == case["num_tokens"]
    np.testing.assert_allclose(tokens.mean(), case["tokens_mean"], atol=1e-5)
    np.testing.assert_allclose(tokens[0, :2, :4].ravel(), case["tokens_first"], atol=1e-5)
    np.testing.assert_allclose(features[0, :8], case["features_first"], atol=1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("config", [*FAMILIES.values(), *ON_MANIFOLDS.values()], ids=[*FAMILIES, *ON_MANIFOLDS])
def test_a_saved_model_returns_identical_logits(config, tmp_path):
    model = keras_cct.build_model(config)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    images = pixels(3, 12, 8, 3)
    np.testing.assert_array_equal(logits_of(reloaded, images), logits_of(model, images))


# On every backend: a convolution, a class token, and every manifold.
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=() if name in ("cct", "all", "grassmann") else pytest.mark.one_backend)
        for name, config in (FAMILIES | ON_MANIFOLDS).items()
    ],
)
def test_training_changes_every_weight(config):
    model = keras_cct.build_model(config)
    for index in range(config.num_layers):
        # Initial queries and keys are so small that the updates of the scales of the maps would round to zero.
        kernel = model.get_layer(f"block_{index}").attention.query_key_value.kernel
        kernel.assign(50 * kernel)
    before = [to_numpy(weight).copy() for weight in model.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=keras.backend.backend() == "jax")  # as in runs
    model.train_on_batch(pixels(4, 12, 8, 3), np.arange(4))
    unchanged = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(to_numpy(weight), old)
    ]
    # A constant added to all scores does not change their softmax.
    assert [path for path in unchanged if not path.endswith(("score/bias", "mix_bias"))] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_form_a_chain_with_fixed_names(family):
    names = [layer.name for layer in keras_cct.build_model(FAMILIES[family]).layers]
    class_token = ["class_token"] if family == "vit" else []
    pool = "class_token_pool" if family == "vit" else "sequence_pool"
    blocks = ["block_0", "block_1"]
    before = ["images", "normalization", "tokenizer", *class_token, "position_embedding", "dropout"]
    assert names == [*before, *blocks, "norm", pool, "head"]


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "name", ["grassmann", *(pytest.param(name, marks=pytest.mark.slow) for name in ("all", "gm", "spd"))]
)
def test_two_hundred_steps_on_the_sample_stay_finite(name):
    data = load_sample("train")
    model = keras_cct.build_model(
        dataclasses.replace(ON_MANIFOLDS[name], input_shape=(28, 28, 1), num_classes=10, num_layers=1)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-3), loss, jit_compile=keras.backend.backend() == "jax")
    model.fit(data.images[:800], data.labels[:800], batch_size=4, verbose=0)
    assert all(np.isfinite(to_numpy(weight)).all() for weight in model.weights)


@pytest.mark.one_backend
@pytest.mark.parametrize("config", ON_MANIFOLDS.values(), ids=ON_MANIFOLDS)
def test_a_constant_image_has_finite_logits(config):
    model = keras_cct.build_model(config)
    for value in (0, 128):
        assert np.isfinite(logits_of(model, np.full((2, 12, 8, 3), value, "uint8"))).all()


def test_pixels_of_every_dtype_give_the_same_logits():
    model = keras_cct.build_model(FAMILIES["cct"])
    images = pixels(2, 12, 8, 3)
    expected = model.predict_on_batch(images.astype("float32"))
    for dtype in ("uint8", "int32", "float64"):
        np.testing.assert_array_equal(model.predict_on_batch(images.astype(dtype)), expected)


@pytest.mark.tensorflow
@pytest.mark.parametrize("family", FAMILIES)
def test_images_of_unknown_static_shape_are_checked_at_run_time(family):
    import tensorflow as tf

    model, images = keras_cct.build_model(FAMILIES[family]), pixels(2, 12, 8, 3).astype("float32")
    predict = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3), "float32")])
    np.testing.assert_allclose(predict(images), logits_of(model, images), atol=1e-5)
    for shape in [(2, 8, 12, 3), (2, 24, 8, 3)]:
        with pytest.raises(tf.errors.InvalidArgumentError):
            predict(np.zeros(shape, "float32"))


def test_normalization_is_that_of_the_recipe():
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    fields = {"input_shape": (8, 8, 3), "dim": 8, "num_heads": 2, "num_layers": 1}
    model = keras_cct.CVT(**fields, normalization=(mean, std))
    images = pixels(2, 8, 8, 3)
    normalization = model.get_layer("normalization")
    assert isinstance(normalization, keras_cct.PixelNormalization)
    expected = (images / 255 - mean) / std
    np.testing.assert_allclose(to_numpy(normalization(images)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "case", GOLDEN_RECIPE["normalisation"]["datasets"].values(), ids=lambda case: str(case["mean"])
)
def test_normalization_matches_the_golden_one(case):
    pixels = np.array(case["pixels_rgb"], dtype="float32").reshape(1, -1, 1, 3)
    found = to_numpy(keras_cct.PixelNormalization(case["mean"], case["std"])(pixels)).reshape(-1, 3)
    np.testing.assert_allclose(found, case["normalised"], atol=2e-6)  # float32, values up to 3


@pytest.mark.parametrize("is_global", [False, True])
def test_mixed_precision_keeps_logits_and_pixels_in_float32(is_global):
    if is_global:
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = keras_cct.build_model(FAMILIES["cct"])
        finally:
            keras.config.set_dtype_policy("float32")
    else:
        model = keras_cct.build_model(dataclasses.replace(FAMILIES["cct"], dtype="mixed_bfloat16"))
    assert model.get_layer("normalization").compute_dtype == "float32"
    assert model.get_layer("block_0").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        (FAMILIES["cct"], "bfloat16"),
        (FAMILIES["vit"], "mixed_bfloat16"),
        (ON_MANIFOLDS["all"], "bfloat16"),
        (ON_MANIFOLDS["grassmann"], "mixed_bfloat16"),
    ],
    ids=["cct", "vit", "all", "grassmann"],
)
def test_a_dtype_reaches_every_layer_and_survives_saving(config, dtype, tmp_path):
    model = keras_cct.build_model(dataclasses.replace(config, dtype=dtype))
    assert {weight.dtype for weight in model.trainable_weights} == {keras.DTypePolicy(dtype).variable_dtype}
    assert model.get_layer("block_0").mlp_in.compute_dtype == "bfloat16"
    logits = model(pixels(2, 12, 8, 3))
    assert keras.backend.standardize_dtype(logits.dtype) == keras.DTypePolicy(dtype).variable_dtype
    assert np.isfinite(to_numpy(keras.ops.cast(logits, "float32"))).all()
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").get_layer("block_0").mlp_in.compute_dtype == "bfloat16"


SAVED_0_1_0 = Path(__file__).parents[1] / "fixtures" / "saved_0_1_0"
OUTPUTS_0_1_0 = json.loads((SAVED_0_1_0 / "outputs.json").read_text())


@pytest.mark.one_backend
@pytest.mark.parametrize("name", OUTPUTS_0_1_0)
def test_models_saved_by_version_0_1_0_load_and_return_the_same(name):
    model = keras.models.load_model(SAVED_0_1_0 / f"{name}.keras")
    outputs = model(np.random.default_rng(5).integers(0, 256, (2, 16, 16, 3)).astype("uint8"))
    expected = OUTPUTS_0_1_0[name]
    if not isinstance(outputs, dict):
        outputs, expected = {"logits": outputs}, {"logits": expected}
    for key, values in expected.items():
        # A Grassmannian model amplifies the rounding in which the backends differ.
        np.testing.assert_allclose(to_numpy(outputs[key]), values, atol=1e-3 if "grassmanian" in name else 1e-5)


def test_without_top_the_model_ends_in_features():
    model = keras_cct.CCT(include_top=False, input_shape=(8, 8, 1), dim=16, num_layers=1)
    assert model.output_shape == (None, 16)
