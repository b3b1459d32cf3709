import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.explained_models import FIELDS, MODELS, images, make_model

import keras_cct


@pytest.mark.parametrize(("name", "dtype"), [("cct", "bfloat16"), ("all", "mixed_bfloat16"), ("spd", "mixed_float16")])
def test_half_precision_gives_float32_maps_close_to_those_of_float32(name, dtype):
    model = make_model(name)
    half = keras.models.clone_model(model, clone_function=lambda layer: with_dtype(layer, dtype))
    half.set_weights(model.get_weights())
    pixels = images(model)
    found, expected = keras_cct.explain(half, pixels), keras_cct.explain(model, pixels)
    assert {found.pooling.dtype, found.rollout.dtype, found.attention[0].dtype} == {np.dtype("float32")}
    np.testing.assert_allclose(found.pooling.sum(axis=(1, 2)), 1, atol=1e-5)
    # Amplified by factorizations; 1 / 25 is the mean.
    np.testing.assert_allclose(found.rollout, expected.rollout, atol=0.03)


def with_dtype(layer: keras.layers.Layer, dtype: str) -> keras.layers.Layer:
    return type(layer).from_config({**layer.get_config(), "dtype": dtype})


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_model_is_explained():
    model = make_model("spd")
    pixels = images(model)
    before = keras_cct.explain(model, pixels)
    model.quantize("int8")
    after = keras_cct.explain(model, pixels)
    assert (after.pooling != before.pooling).any()
    np.testing.assert_allclose(after.pooling, before.pooling, atol=0.02)


def test_models_that_share_layers_with_ours_are_explained():
    model = make_model("cvt")
    pixels = images(model)
    expected = keras_cct.explain(model, pixels)
    features = keras_cct.features(model, ["block_0", "pooled"])
    with_softmax = keras.Model(model.input, keras.layers.Softmax()(model.output))
    headless = keras_cct.CVT(**FIELDS, patch_size=2, include_top=False, normalization=None)
    for other in (features, with_softmax):
        np.testing.assert_array_equal(keras_cct.explain(other, pixels).pooling, expected.pooling)
    assert keras_cct.explain(headless, pixels / 255).pooling.shape == (3, 6, 4)


def test_explaining_leaves_the_model_as_it_is(tmp_path):
    model = make_model("cvt")
    pixels, config = images(model), model.to_json()
    before = to_numpy(model(pixels))
    keras_cct.explain(model, pixels)
    assert model.to_json() == config
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(keras.models.load_model(tmp_path / "model.keras")(pixels)), before)


def test_constant_images_have_finite_maps():
    for name in ("cct", "grassmann"):
        model = MODELS[name]()
        found = keras_cct.explain(model, np.zeros((1, *model.input_shape[1:]), "uint8"))
        np.testing.assert_allclose(found.rollout.sum(), 1, atol=1e-5)


def diverged() -> keras.Model:
    model = MODELS["cvt"]()
    model.get_layer("block_0").mlp_in.kernel.assign(np.full((8, 8), np.nan))
    return model


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (lambda: keras.Sequential([keras.Input((12, 8, 3)), MODELS["cvt"]()]), (1, 12, 8, 3), "get_layer('cvt')"),
        (lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), (1, 8), "Use a model created by"),
        (lambda: "model.keras", (1, 8), "'model.keras' is not a Keras model"),
        (MODELS["cvt"], (12, 8, 3), "images have shape (12, 8, 3)"),
        (MODELS["cvt"], (0, 12, 8, 3), "images is empty"),
        (diverged, (1, 12, 8, 3), "computes NaN or infinity"),
    ],
)
def test_what_cannot_be_explained_is_one_line(model, shape, message):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.explain(model(), np.zeros(shape, "uint8"))
    assert message in str(error.value)


@pytest.mark.parametrize("value", [None, 5, "photo.png", [[1], [2, 3]], b"x"])
def test_values_that_are_not_images_are_refused(value):
    with pytest.raises(keras_cct.InputError, match="images"):
        keras_cct.explain(MODELS["cvt"](), value)
    with pytest.raises(keras_cct.InputError, match="is not a Keras model"):
        keras_cct.explain(value, np.zeros((1, 12, 8, 3)))
