import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_cct
from keras_cct.errors import VerificationError
from keras_cct.inference.keras_model import KerasPredictor
from keras_cct.inference.prediction import predict_files

CLASS_NAMES = ["cat", "dog", "fish"]

PREDICT_WITH_TENSORFLOW_ONLY = """
import sys
import numpy as np, tensorflow as tf
folder, inputs, outputs = sys.argv[1:]
arrays = np.load(inputs)
loaded = tf.saved_model.load(folder)
predict = lambda name, **tensors: loaded.signatures[name](**tensors)["probabilities"].numpy()
np.savez(
    outputs,
    default=predict("serving_default", images=tf.constant(arrays["images"], tf.float32)),
    uint8=predict("serve_uint8", images=tf.constant(arrays["images"])),
    encoded=predict("serve_encoded", image_bytes=tf.constant(list(arrays["encoded"]))),
    class_names=open(loaded.class_names.asset_path.numpy()).read().split(),
    keras=[name for name in sys.modules if name.startswith("keras")],
)
"""


def model_for(channels: int) -> keras.Model:
    config = keras_cct.ModelConfig(
        "cct", (12, 16, channels), 3, 2, 2, 8, kernel_size=3, num_conv_layers=1, class_names=CLASS_NAMES
    )
    model = keras_cct.build_model(config)
    # Larger weights spread the probabilities, so that a wrong one shows.
    model.get_layer("head").kernel.assign(np.random.default_rng(0).standard_normal((8, 3)))
    return model


def encoded_images(height: int = 40, width: int = 30) -> list[bytes]:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype("uint8")
    contents = []
    for file_format, image in (("PNG", pixels), ("JPEG", pixels[:20]), ("PNG", pixels[..., 0])):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, file_format)
        contents.append(stream.getvalue())
    return contents


@pytest.mark.parametrize("channels", [1, 3])
def test_every_signature_equals_keras_in_a_process_with_tensorflow_only(channels, tmp_path):
    model = model_for(channels)
    keras_cct.export_saved_model(model, tmp_path / "saved_model")
    images = np.random.default_rng(1).integers(0, 256, (5, 12, 16, channels), dtype="uint8")
    encoded = encoded_images()
    np.savez(tmp_path / "inputs.npz", images=images, encoded=np.array(encoded, dtype=object))
    program = PREDICT_WITH_TENSORFLOW_ONLY.replace("np.load(inputs)", "np.load(inputs, allow_pickle=True)")
    arguments = [tmp_path / "saved_model", tmp_path / "inputs.npz", tmp_path / "outputs.npz"]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True)
    outputs = np.load(tmp_path / "outputs.npz")
    assert outputs["class_names"].tolist() == CLASS_NAMES
    assert not [name for name in outputs["keras"] if name.startswith("keras_cct")]
    predictor = KerasPredictor(model)
    expected = predictor.probabilities(images)
    np.testing.assert_allclose(outputs["default"], expected, atol=1e-4)
    np.testing.assert_allclose(outputs["uint8"], expected, atol=1e-4)
    for index, content in enumerate(encoded):
        (tmp_path / "image").write_bytes(content)
        (classes,) = predict_files(predictor, [tmp_path / "image"], top=3)
        by_name = dict(zip(CLASS_NAMES, outputs["encoded"][index], strict=True))
        assert by_name == pytest.approx(dict(classes), abs=1e-4)


CALL_WITH_WRONG_SHAPES = """
import json, sys
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
results = {}
for name, dtype in (("serving_default", tf.float32), ("serve_uint8", tf.uint8)):
    for shape in json.loads(sys.argv[2]):
        try:
            rows = loaded.signatures[name](images=tf.zeros(shape, dtype))["probabilities"].shape
            results[f"{name} {shape}"] = list(rows)
        except tf.errors.InvalidArgumentError as error:
            results[f"{name} {shape}"] = error.message
encoded = loaded.signatures["serve_encoded"](image_bytes=tf.zeros((0,), tf.string))["probabilities"]
results["serve_encoded"] = list(encoded.shape)
try:
    loaded.signatures["serve_encoded"](image_bytes=tf.constant("one file"))
except tf.errors.InvalidArgumentError as error:
    results["serve_encoded scalar"] = error.message
print(json.dumps(results))
"""


@pytest.mark.parametrize("variant", ["cct_2_3x2_32", "vit_2_4_32"])
def test_wrong_shapes_fail_in_every_signature_and_empty_batches_are_empty(variant, tmp_path):
    model = keras_cct.create_model(variant, input_shape=(28, 28, 1), num_classes=3)
    keras_cct.export_saved_model(model, tmp_path / "saved_model")
    wrong = [[2, 56, 28, 1], [28, 28, 1], [2, 28, 28, 3], [4, 14, 14, 1], [2, 784]]
    right = {"[0, 28, 28, 1]": [0, 3], "[2, 28, 28, 1]": [2, 3]}
    shapes = json.dumps(wrong + [json.loads(shape) for shape in right])
    command = [sys.executable, "-c", CALL_WITH_WRONG_SHAPES, str(tmp_path / "saved_model"), shapes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    results = json.loads(done.stdout.splitlines()[-1])
    for signature in ("serving_default", "serve_uint8"):
        for shape in wrong:
            message = results[f"{signature} {shape}"]
            assert isinstance(message, str), (signature, shape, message)
            assert "expected shape [?,28,28,1]" in message
        for shape, rows in right.items():
            assert results[f"{signature} {shape}"] == rows
    assert results["serve_encoded"] == [0, 3]
    assert "expected shape [?]" in results["serve_encoded scalar"]


def test_names_can_be_given_at_export(tmp_path):
    keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model", class_names=["a b", "c", "d"])
    assert keras_cct.load_predictor(tmp_path / "saved_model").class_names == ("a b", "c", "d")


def test_models_of_other_channels_are_served_from_pixels(tmp_path):
    keras_cct.export_saved_model(model_for(5), tmp_path / "saved_model")
    assert keras_cct.load_predictor(tmp_path / "saved_model").image_shape == (12, 16, 5)


@pytest.mark.parametrize("family", ["cvt_2_4_32", "vit_2_4_32", "manifold_cct_2_3x2_32", "grassmanian_vit_2_4_32"])
def test_other_families_export(family, tmp_path):
    keras_cct.export_saved_model(keras_cct.create_model(family), tmp_path / "saved_model")
    assert keras_cct.load_predictor(tmp_path / "saved_model").class_names is None


def test_bad_exports_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(keras_cct.InputError, match="class_names"):
        keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model", class_names=["cat"])
    features = keras_cct.create_model("cvt_2_4_32", include_top=False)
    with pytest.raises(keras_cct.InputError, match="does not end in class logits"):
        keras_cct.export_saved_model(features, tmp_path / "saved_model")
    with pytest.raises(keras_cct.InputError, match="class_names"):
        keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model", class_names=["a\nb", "c", "d"])
    diverged = model_for(3)
    diverged.get_layer("head").bias.assign([float("nan")] * 3)
    with pytest.raises(keras_cct.InputError, match="predicts NaN"):
        keras_cct.export_saved_model(diverged, tmp_path / "saved_model")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "saved_model").mkdir()
    with pytest.raises(keras_cct.InputError, match="exists already"):
        keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model")


@pytest.mark.parametrize("signature", ["serving_default", "serve_uint8", "serve_encoded"])
def test_an_export_that_differs_in_any_signature_is_removed(signature, tmp_path, monkeypatch):
    from keras_cct.inference.saved_model import SavedModelPredictor

    call_signature = SavedModelPredictor._call_signature

    def call_wrongly(self, name, *arguments):
        return call_signature(self, name, *arguments) + (2e-4 if name == signature else 0)

    monkeypatch.setattr(SavedModelPredictor, "_call_signature", call_wrongly)
    message = f"signature {signature} of the SavedModel differs from Keras by 0.0002"
    with pytest.raises(VerificationError, match=message):
        keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model")
    assert list(tmp_path.iterdir()) == []
