import warnings

import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.golden import CASES, golden_images
from fixtures.reference_weights import reference_state_dict

import keras_cct
from keras_cct.weights.adapt import POSITION_KEY, adapt_state_dict, resize_position_embedding

RESIZED_CASES = {"cct_7_7x2_224 to 256": "cct_7_7x2_224", "vit_2_4_32 to 48": "vit_2_4_32"}


def random_array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def resize_pixel_by_pixel(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Bilinear resizing with half-pixel centers and repeated edges, one pixel at a time."""
    height, width = image.shape[:2]
    resized = np.zeros((rows, columns, image.shape[2]))
    for i in range(rows):
        for j in range(columns):
            y = min(max((i + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / columns - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
            lower = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
            resized[i, j] = upper * (1 - y + top) + lower * (y - top)
    return resized


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "case_name", [pytest.param(name, marks=pytest.mark.slow if "224" in name else ()) for name in RESIZED_CASES]
)
def test_golden_logits_at_another_image_size(case_name):
    case = CASES[case_name]
    model = keras_cct.create_model(RESIZED_CASES[case_name], input_shape=case["input"], normalization=None)
    keras_cct.load_torch_weights(model, reference_state_dict(case["state_dict"]), adapt=True)
    embedding = to_numpy(model.get_layer("position_embedding").embedding)[0, :, :4]
    np.testing.assert_allclose(embedding[:3].ravel(), case["resized_position_embedding_first"], atol=1e-6)
    np.testing.assert_allclose(embedding[-2:].ravel(), case["resized_position_embedding_last"], atol=1e-6)
    logits = to_numpy(model(golden_images(case_name), training=False))
    np.testing.assert_allclose(logits[:, :10], case["logits"], atol=1e-4)
    np.testing.assert_allclose(logits.sum(axis=1), case["logits_sum"], atol=1e-3)


@pytest.mark.parametrize(("grid", "new_grid"), [((3, 5), (6, 4)), ((4, 4), (7, 7)), ((6, 2), (3, 1)), ((1, 1), (2, 3))])
@pytest.mark.parametrize("has_class_token", [False, True])
def test_resizing_equals_a_pixel_by_pixel_reference_on_any_grid(grid, new_grid, has_class_token):
    embedding = random_array(1, grid[0] * grid[1] + has_class_token, 3)
    resized = resize_position_embedding(embedding, grid, new_grid, has_class_token)
    start = int(has_class_token)
    np.testing.assert_array_equal(resized[:, :start], embedding[:, :start])
    expected = resize_pixel_by_pixel(embedding[0, start:].reshape(*grid, 3), *new_grid)
    np.testing.assert_allclose(resized[0, start:], expected.reshape(-1, 3), atol=1e-6)


def test_weights_of_a_keras_file_adapt_to_another_input_shape(tmp_path):
    source = keras_cct.create_model("cvt_2_4_32", input_shape=(16, 24, 3), class_names=list("abcdefghij"))
    source.save(tmp_path / "wide.keras")
    model = keras_cct.create_model("cvt_2_4_32", input_shape=(24, 16, 3), weights=tmp_path / "wide.keras")
    before, after = (to_numpy(m.get_layer("position_embedding").embedding) for m in (source, model))
    np.testing.assert_allclose(after, resize_position_embedding(before, (4, 6), (6, 4), False), atol=1e-6)
    for weight, expected in zip(model.layers[-1].weights, source.layers[-1].weights, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), to_numpy(expected))


def test_sine_embedding_is_recomputed():
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32_sine"))
    model = keras_cct.create_model("cvt_2_4_32_sine", input_shape=(48, 48, 3))
    expected = to_numpy(model.get_layer("position_embedding").embedding).copy()
    keras_cct.load_torch_weights(model, weights, adapt=True)
    np.testing.assert_array_equal(to_numpy(model.get_layer("position_embedding").embedding), expected)


def test_learned_embedding_of_a_sine_variant_is_resized():
    """As in the published files, because the reference's `*_sine` functions learn the embedding."""
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32_sine"))
    learned = np.random.default_rng(0).normal(size=weights[POSITION_KEY].shape).astype("float32")
    model = keras_cct.create_model("cvt_2_4_32_sine", input_shape=(48, 48, 3))
    keras_cct.load_torch_weights(model, weights | {POSITION_KEY: learned}, adapt=True)
    expected = resize_position_embedding(learned, (8, 8), (12, 12), False)
    np.testing.assert_array_equal(to_numpy(model.get_layer("position_embedding").embedding), expected)


def test_head_for_other_classes_stays_untrained_with_a_warning():
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32"))
    model = keras_cct.create_model("cvt_2_4_32", num_classes=7)
    before = to_numpy(model.get_layer("head").kernel).copy()
    with pytest.warns(UserWarning, match="10 classes, model 'cvt_2_4_32' has 7"):
        keras_cct.load_torch_weights(model, weights, adapt=True)
    np.testing.assert_array_equal(to_numpy(model.get_layer("head").kernel), before)
    key = "classifier.blocks.0.self_attn.qkv.weight"
    np.testing.assert_array_equal(keras_cct.export_torch_weights(model)[key], weights[key])


def test_model_without_head_ignores_the_head_without_a_warning():
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32"))
    model = keras_cct.create_model("cvt_2_4_32", include_top=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keras_cct.load_torch_weights(model, weights, adapt=True)
    assert not [key for key in keras_cct.export_torch_weights(model) if "fc" in key]


@pytest.mark.parametrize("channels", [1, 2, 5, 6])
def test_first_kernel_adapts_to_the_number_of_channels(channels):
    kernel = random_array(8, 3, 4, 4)
    model = keras_cct.CVT(input_shape=(8, 8, channels), dim=8, num_heads=2, num_layers=1)
    adapted = adapt_state_dict({"tokenizer.conv_layers.0.0.weight": kernel}, model)["tokenizer.conv_layers.0.0.weight"]
    if channels == 1:
        expected = kernel[:, 0] + kernel[:, 1] + kernel[:, 2]
    else:
        expected = np.stack([kernel[:, index % 3] * 3 / channels for index in range(channels)], axis=1)
    np.testing.assert_allclose(adapted.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def test_positions_on_an_unknown_grid_are_rejected():
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32", input_shape=(16, 24, 3)))
    model = keras_cct.create_model("cvt_2_4_32")
    with pytest.raises(keras_cct.InputError, match=r"24 positions, which is not a square grid.*\.keras"):
        keras_cct.load_torch_weights(model, weights, adapt=True)


@pytest.mark.parametrize("name", ["manifold_cvt_2_4_32", "grassmanian_vit_2_4_32"])
def test_normalized_maps_cannot_be_resized(name):
    arrays = keras_cct.export_torch_weights(keras_cct.create_model(name, input_shape=(8, 8, 3)))
    with pytest.raises(keras_cct.InputError, match=r"maps of \d tokens, .* has 1\d.* cannot be resized"):
        adapt_state_dict(arrays, keras_cct.create_model(name, input_shape=(16, 16, 3)))


def test_mismatch_that_cannot_be_adapted_is_listed():
    weights = keras_cct.export_torch_weights(keras_cct.create_model("cvt_2_4_32"))
    model = keras_cct.create_model("cvt_4_4_32")
    with pytest.raises(keras_cct.InputError, match=r"missing classifier.blocks.2.pre_norm.weight \(128,\)"):
        keras_cct.load_torch_weights(model, weights, adapt=True)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("tokenizer.conv_layers.0.0.weight", (5,)),
        ("tokenizer.conv_layers.0.0.weight", (128, 0, 4, 4)),
        ("classifier.positional_emb", (64, 128)),
        ("classifier.positional_emb", (2, 16, 128)),
        ("classifier.positional_emb", (1, 64, 96)),
        ("classifier.fc.bias", ()),
    ],
)
def test_weights_of_wrong_shape_are_listed_and_not_adapted(key, shape):
    model = keras_cct.create_model("cvt_2_4_32")
    weights = keras_cct.export_torch_weights(model) | {key: np.zeros(shape, "float32")}
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.load_torch_weights(model, weights, adapt=True)
    assert f"{key} has shape {shape}, expected" in str(error.value)
