"""Layers and functions that are called directly check their arguments as `create_model` does."""

import keras
import pytest

import keras_cct

RECIPE = keras_cct.load_recipe("sample")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return keras_cct.create_model("cvt_2_4_32", num_layers=1, num_heads=1, dim=4, input_shape=(8, 8, 3))


FUNCTIONS = {
    "load_predictor": keras_cct.load_predictor,
    "load_recipe": keras_cct.load_recipe,
    "load_sample": keras_cct.load_sample,
    "class_names": keras_cct.class_names,
    "open_data": keras_cct.open_data,
    "build_model": keras_cct.build_model,
    "features": keras_cct.features,
    "export_torch_weights": keras_cct.export_torch_weights,
    "save_weights_file": lambda value: keras_cct.save_weights_file(value, "never.keras"),
    "KerasPredictor": keras_cct.KerasPredictor,
    "evaluate": lambda value: keras_cct.evaluate(value, None),
    "export_model": lambda value: keras_cct.export_model(value, "never"),
    "export_saved_model": lambda value: keras_cct.export_saved_model(value, "never"),
    "create_optimizer": lambda value: keras_cct.create_optimizer(RECIPE, value),
    "create_optimizer's recipe": lambda value: keras_cct.create_optimizer(value, None),
    "train": lambda value: keras_cct.train(value, "never"),
    "train's folder": lambda value: keras_cct.train(RECIPE, value),
    "resume": keras_cct.resume,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("value", [None, 5, [[]], b"x"])
def test_functions_check_their_first_arguments(name, value):
    with pytest.raises(keras_cct.InputError):
        FUNCTIONS[name](value)


@pytest.mark.parametrize("value", [None, 5, 2.5, b"x"])
def test_functions_check_what_they_do_with_a_model(value, model):
    for call in (
        lambda: keras_cct.features(model, value),
        lambda: keras_cct.evaluate(model, value),
        lambda: keras_cct.export_saved_model(model, value),
        lambda: keras_cct.export_model(model, value),
        lambda: keras_cct.export_model(model, "never", value),
        lambda: list(keras_cct.predict(model, value)),
    ):
        with pytest.raises(keras_cct.InputError):
            call()


def test_paths_contain_no_null_character():
    with pytest.raises(keras_cct.InputError, match=r"path must be a path, got 'a\\x00b'"):
        keras_cct.load_predictor("a\0b")


TOKENS, IMAGES = (None, 4, 8), (None, 8, 8, 3)
LAYERS = [
    (lambda: keras_cct.EncoderBlock(2, mlp_ratio=-1), TOKENS, "mlp_ratio must be a positive number"),
    (lambda: keras_cct.EncoderBlock(2, mlp_ratio=1e9), TOKENS, "MLP kernel of shape"),
    (lambda: keras_cct.EncoderBlock(2, seed=-1), TOKENS, "seed must be"),
    (lambda: keras_cct.SelfAttention(10**30), TOKENS, "num_heads must be at most 2,147,483,647"),
    (lambda: keras_cct.SelfAttention(1), (None, 4, 10**6), "query, key and value kernel"),
    (lambda: keras_cct.SelfAttention(1, seed=2**31), TOKENS, "seed must be"),
    (lambda: keras_cct.ManifoldAttention(2), (None, 2**15, 8), "map normalization"),
    (lambda: keras_cct.GrassmannAttention(2), (None, 2**15, 8), "map normalization"),
    (lambda: keras_cct.ObservabilityTokens(num_signals=3), TOKENS, "num_signals=3 does not divide"),
    (lambda: keras_cct.ObservabilityTokens(num_blocks=10**9), TOKENS, "the projection of shape"),
    (lambda: keras_cct.ObservabilityTokens(num_blocks=1), TOKENS, "num_blocks must be at least 2"),
    (lambda: keras_cct.ConvTokenizer(8, num_conv_layers=10**30), IMAGES, "num_conv_layers must be at most 32"),
    (lambda: keras_cct.ConvTokenizer(8, kernel_size=10**5), IMAGES, "convolution kernel"),
    (lambda: keras_cct.PatchTokenizer(10**9, 8), IMAGES, "patch kernel"),
    (keras_cct.PositionEmbedding, (None, 10**8, 8), "position embedding of shape"),
    (lambda: keras_cct.ClassifierHead(10**9), (None, 8), "kernel of the head"),
    (lambda: keras_cct.ClassifierHead(3), (None, None), "features must have shape"),
    (keras_cct.ClassToken, (None, 4, 0), "tokens must have shape"),
    (keras_cct.SequencePool, 5, "tokens must have shape"),
    (keras_cct.PixelNormalization, (None, 8, -1, 3), "images must have shape"),
]


@pytest.mark.filterwarnings("ignore:.*JAX")
@pytest.mark.parametrize(("create", "shape", "message"), LAYERS)
def test_layers_check_their_arguments_and_sizes(create, shape, message):
    with pytest.raises(keras_cct.InputError, match=message):
        create().build(shape)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_layers": 10**6}, "num_layers must be at most 256"),
        ({"dim": 10**30, "num_heads": 1}, "dim must be at most 65,536"),
        ({"dim": 2**15}, "num_layers=2, dim=32768 and mlp_ratio=1.0 give .* weights, more than"),
        ({"num_classes": 10**9}, "num_classes must be at most 1,000,000"),
        ({"input_shape": (10**6, 32, 3)}, "at most 16,384"),
        ({"mlp_ratio": 1e300}, "weights, more than"),
    ],
)
def test_sizes_of_models_are_bounded(fields, message):
    with pytest.raises(keras_cct.InputError, match=message):
        keras_cct.create_model("cvt_2_4_32", **({"mlp_ratio": 1} | fields))
