from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy

import keras_cct

SMALL = {"input_shape": (16, 12, 3), "num_layers": 1, "num_classes": 5}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 12, 3)).astype("float32")


def make_model(variant: str, **fields: object) -> keras.Model:
    model = keras_cct.create_model(variant, **SMALL, **fields)
    for index, weight in enumerate(model.trainable_weights):
        weight.assign(weight + 0.05 * np.random.default_rng(index).standard_normal(weight.shape))
    return model


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("variant", "normalization"),
    [
        ("cct_2", None),
        ("vit_2", (0.5, 0.5)),
        pytest.param("cct_2", (0.5, 0.5), marks=pytest.mark.slow),
        pytest.param("cvt_2", (0.5, 0.5), marks=pytest.mark.slow),
        pytest.param("manifold_cct_2", (0.5, 0.5), marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_refuses_images_of_another_shape(variant, normalization, tmp_path):
    import tensorflow as tf

    model = make_model(variant, normalization=normalization)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    (logits,) = served.signatures["serving_default"](tf.constant(IMAGES)).values()
    np.testing.assert_allclose(to_numpy(logits), to_numpy(model(IMAGES)), atol=1e-5)
    for shape in [(2, 32, 12, 3), (2, 12, 16, 3), (16, 12, 3), (2, 16, 12, 1), (1, 16, 24, 3)]:
        with pytest.raises(tf.errors.InvalidArgumentError):
            served.signatures["serving_default"](tf.zeros(shape))
        with pytest.raises(TypeError):
            served.serve(tf.zeros(shape))


@pytest.mark.parametrize("variant", ["cct_2", "cvt_2", "vit_2"])
def test_a_single_image_without_batch_dimension_is_refused(variant):
    model = keras_cct.create_model(variant, input_shape=(16, 16, 1), position_embedding="none")
    with pytest.raises(keras_cct.InputError, match=r"\(batch, 16, 16, 1\), got .* add a batch dimension"):
        model(np.zeros((16, 16, 1), "float32"))


def export_onnx(model: keras.Model, path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model(IMAGES)  # Keras exports only models that have been called.
    model.export(path, format="onnx", verbose=False)


# On JAX, Keras needs jax2onnx; on PyTorch, its export of LayerNormalization fails.
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("default")  # of the converter
@pytest.mark.parametrize(
    ("variant", "fields"),
    [
        ("cct_2", {}),
        pytest.param("cct_2", {"position_embedding": "sine", "kernel_size": 7}, marks=pytest.mark.slow),
        pytest.param("cvt_2", {}, marks=pytest.mark.slow),
        ("vit_2", {"normalization": ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1))}),
        ("cct_2", {"attention_type": "spd"}),
        pytest.param("vit_2", {"attention_type": "spd", "map_normalization": True}, marks=pytest.mark.slow),
    ],
)
def test_onnx_runtime_predicts_the_same_logits(variant, fields, tmp_path):
    model = make_model(variant, **fields)
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    for images in (IMAGES, IMAGES[:1]):
        (logits,) = session.run(None, {name: images})
        np.testing.assert_allclose(logits, to_numpy(model(images, training=False)), atol=1e-5)
    with pytest.raises(Exception, match="[Ii]nvalid"):  # the runtime has exception classes of its own
        session.run(None, {name: np.zeros((2, 32, 12, 3), "float32")})


def predict_openvino(path: Path, images: np.ndarray) -> np.ndarray:
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(images)[0]


def predict_litert(path: Path, images: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = runtime.Interpreter(str(path))
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])


# Exporting to OpenVINO works under PyTorch as well, but not for manifold attention.
@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="on JAX, Keras needs jax2tf")
@pytest.mark.filterwarnings("default")  # of the converter
@pytest.mark.parametrize("variant", ["cct_2", "cvt_2", "vit_2"])
def test_openvino_predicts_the_same_logits(variant, tmp_path):
    pytest.importorskip("openvino")
    model = make_model(variant)
    model(IMAGES)
    model.export(str(tmp_path / "model.xml"), format="openvino", verbose=False)  # Keras takes no Path here
    for images in (IMAGES, IMAGES[:1]):
        logits = predict_openvino(tmp_path / "model.xml", images)
        np.testing.assert_allclose(logits, to_numpy(model(images, training=False)), atol=1e-5)


# On PyTorch, Keras needs litert-torch; on JAX, jax2tf.
@pytest.mark.tensorflow
@pytest.mark.filterwarnings("default")  # of the converter
@pytest.mark.parametrize(
    ("variant", "fields"),
    [
        pytest.param("cct_2", {}, marks=pytest.mark.slow),
        pytest.param("cvt_2", {}, marks=pytest.mark.slow),
        ("vit_2", {"attention_type": "spd"}),
    ],
)
def test_litert_predicts_the_same_logits(variant, fields, tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = make_model(variant, **fields)
    model(IMAGES)
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    for images in (IMAGES, IMAGES[:1]):
        logits = predict_litert(tmp_path / "model.tflite", images)
        np.testing.assert_allclose(logits, to_numpy(model(images, training=False)), atol=1e-5)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("default")  # of the converter
@pytest.mark.parametrize(
    ("variant", "operation"),
    [
        pytest.param("manifold_cct_2", "Qr", marks=pytest.mark.slow),
        ("grassmanian_vit_2", "Qr|SelfAdjointEigV2"),
    ],
)
def test_onnx_has_no_matrix_factorizations_and_the_runtime_names_them(variant, operation, tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(make_model(variant), path)
    import onnxruntime

    with pytest.raises(Exception, match=f"INVALID_GRAPH.*({operation})"):
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
