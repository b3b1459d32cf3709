import dataclasses

import keras
import numpy as np
import pytest

import keras_cct
from keras_cct.models.summary import summarize_config
from keras_cct.models.variants import variant_config

# Millions of parameters, 10^9 MACs, and 10^9 MACs with attention products (None if not published), from the paper and
# from the README of the reference implementation at its commits cd11f091 and 0d60cdd8.
PUBLISHED = {
    "cct_2_3x2_32": ("0.284", "0.033", None),
    "cct_4_3x2_32": ("0.482", "0.046", None),
    "cct_6_3x2_32": ("3.327", "0.241", None),
    "cct_7_3x1_32": ("3.760", "0.947", "1.18"),
    "cct_7_3x2_32": ("3.853", "0.275", None),
    "vit_6_4_32": ("3.191", "0.205", None),
    "vit_7_4_32": ("3.717", "0.239", None),
    "cvt_6_4_32": ("3.190", "0.202", None),
    "cvt_7_4_32": ("3.717", "0.236", None),
    "cct_14_7x2_224": ("22.36", "5.11", None),
    "cct_14_7x2_384": ("22.51", "15.02", None),
}
SMALL = {"input_shape": (12, 8, 3), "num_classes": 5, "num_layers": 2, "num_heads": 2, "dim": 8, "mlp_ratio": 2.0}
MODELS = {
    "cct": lambda: keras_cct.CCT(**SMALL, kernel_size=3, num_conv_layers=2),
    "strided cct": lambda: keras_cct.CCT(**SMALL | {"input_shape": (33, 27, 1)}, kernel_size=7, num_conv_layers=2),
    "cvt": lambda: keras_cct.CVT(**SMALL, patch_size=2),
    "vit": lambda: keras_cct.ViTLite(**SMALL, patch_size=2),
    "all": lambda: keras_cct.CVT(**SMALL, patch_size=4, attention_type="all"),
    "gm": lambda: keras_cct.CVT(**SMALL, patch_size=2, attention_type="gm"),
    "spd": lambda: keras_cct.CVT(**SMALL, patch_size=2, attention_type="spd"),
    "grassmann": lambda: keras_cct.ViTLite(**SMALL, patch_size=2, attention_type="grassmann"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_equal_the_published_ones(name):
    total = summarize_config(variant_config(name)).total
    found = (total.parameters / 1e6, total.macs / 1e9, total.macs_with_attention / 1e9)
    for value, published in zip(found, PUBLISHED[name], strict=True):
        if published is not None:
            # Some published numbers are rounded, and some are cut.
            last_digit = 10.0 ** -len(published.partition(".")[2])
            assert value == pytest.approx(float(published), abs=last_digit)


def macs_of_operation(operation) -> int:
    """Returns the multiply-accumulate operations of a node of a TensorFlow graph: sizes of the output times summed."""
    if operation.type not in ("MatMul", "BatchMatMulV2", "Einsum", "Conv2D"):
        return 0
    shapes = [tensor.shape.as_list() for tensor in operation.inputs]
    if operation.type == "Einsum":
        indices = operation.get_attr("equation").decode().partition("->")[0].split(",")
        sizes = {
            key: size
            for names, shape in zip(indices, shapes, strict=True)
            for key, size in zip(names, shape, strict=True)
        }
        return int(np.prod(list(sizes.values())))
    if operation.type == "Conv2D":
        summed = np.prod(shapes[1][:3])
    else:
        summed = shapes[0][-2 if operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x") else -1]
    return int(np.prod(operation.outputs[0].shape.as_list()) * summed)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", MODELS)
def test_macs_equal_the_products_in_the_graph_of_tensorflow(name):
    import tensorflow as tf

    model = MODELS[name]()

    def graph_macs(batch_size: int) -> int:
        function = tf.function(model).get_concrete_function(tf.TensorSpec((batch_size, *model.input_shape[1:])))
        return sum(map(macs_of_operation, function.graph.get_operations()))

    # What does not depend on the image, such as the combined gains of manifold maps, does not grow with the batch.
    assert keras_cct.summarize(model).total.macs_with_attention == graph_macs(3) - graph_macs(2)


def test_rows_are_the_layers_with_their_shapes_and_weights():
    model = MODELS["cvt"]()
    summary = keras_cct.summarize(model)
    assert (summary.name, summary.input_shape) == ("cvt", (12, 8, 3))
    layers = {layer.name: layer for layer in summary.layers}
    assert list(layers) == [layer.name for layer in model.layers[1:]]
    assert layers["block_1"].output_shape == (24, 8)
    assert layers["block_1"].parameters == model.get_layer("block_1").count_params()
    assert summary.total.parameters == model.count_params()
    # 24 tokens of 8 values: 2 norms, queries, keys and values, merged heads, projection, MLP with 16 units, its output.
    values = 24 * 8 * (2 + 3 + 1 + 1 + 2 + 1) + 2 * 24 * 24
    assert layers["block_1"].activation_bytes == 4 * values


def test_half_precision_has_half_the_activation_memory():
    single, half = (keras_cct.CVT(**SMALL, patch_size=2, dtype=dtype) for dtype in ("float32", "mixed_bfloat16"))
    expected, found = (keras_cct.summarize(model).total for model in (single, half))
    head_bytes = 4 * 5  # logits stay in float32
    assert found.activation_bytes - head_bytes == (expected.activation_bytes - head_bytes) / 2
    assert found.macs == expected.macs


@pytest.mark.parametrize("name", ["manifold_cct_2_3x2_32", "grassmanian_vit_4_4_32", "cct_7_3x1_32_sine"])
def test_a_config_has_the_summary_of_its_model(name):
    config = dataclasses.replace(variant_config(name), input_shape=(16, 16, 3))
    assert summarize_config(config) == keras_cct.summarize(keras_cct.build_model(config))


def test_models_around_ours_have_its_macs():
    model = MODELS["cvt"]()
    macs = keras_cct.summarize(model).total.macs
    nested = keras.Sequential([keras.Input((12, 8, 3)), keras.layers.RandomFlip(), model])
    assert keras_cct.summarize(nested).total.macs == macs
    assert keras_cct.summarize(keras_cct.features(model, ["block_0", "pooled"])).total.macs == macs - 8 * 5


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_model_has_as_many_macs():
    model = MODELS["cvt"]()
    macs = keras_cct.summarize(model).total.macs
    model.quantize("int4")
    assert keras_cct.summarize(model).total.macs == macs


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]), "of type Conv2D"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "is not a built Keras model"),
        (lambda: "model.keras", "'model.keras' is not a built Keras model"),
    ],
)
def test_other_models_are_refused_in_one_line(model, message):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.summarize(model())
    assert message in str(error.value)
