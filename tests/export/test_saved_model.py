import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_cct
from keras_cct.errors import VerificationError
from keras_cct.export.saved_model import verify_signatures
from keras_cct.inference.keras_model import KerasPredictor
from keras_cct.inference.prediction import predict_files
from keras_cct.inference.saved_model import SavedModelPredictor

pytestmark = pytest.mark.one_backend  # elsewhere, test_tensorflow_process.py exports a model to every format
CLASS_NAMES = ["cat", "dog", "fish"]

CALL_WITH_TENSORFLOW_ONLY = """
import json, sys
import numpy as np, tensorflow as tf


def fail(call):
    try:
        call()
    except tf.errors.InvalidArgumentError as error:
        return error.message


for folder in sys.argv[1:]:
    loaded = tf.saved_model.load(folder + "/saved_model")
    predict = lambda name, **tensors: loaded.signatures[name](**tensors)["probabilities"].numpy()
    arrays = np.load(folder + "/inputs.npz", allow_pickle=True)
    images = arrays["images"]
    np.savez(
        folder + "/outputs.npz",
        default=predict("serving_default", images=tf.constant(images, tf.float32)),
        uint8=predict("serve_uint8", images=tf.constant(images)),
        encoded=predict("serve_encoded", image_bytes=tf.constant(list(arrays["encoded"]))),
        no_floats=predict("serving_default", images=tf.constant(images[:0], tf.float32)),
        no_integers=predict("serve_uint8", images=tf.constant(images[:0])),
        no_files=predict("serve_encoded", image_bytes=tf.zeros((0,), tf.string)),
        class_names=open(loaded.class_names.asset_path.numpy()).read().split(),
        keras=[name for name in sys.modules if name.startswith("keras")],
    )
    errors = {
        f"{name} {shape}": fail(lambda: predict(name, images=tf.zeros(shape, dtype)))
        for name, dtype in (("serving_default", tf.float32), ("serve_uint8", tf.uint8))
        for shape in arrays["wrong_shapes"]
    }
    errors["serve_encoded"] = fail(lambda: predict("serve_encoded", image_bytes=tf.constant("one file")))
    print(json.dumps(errors))
"""
TOKENIZERS = {"cct": {"kernel_size": 3, "num_conv_layers": 1}, "vit": {"patch_size": 4}}


def model_for(channels: int, family: str = "cct") -> keras.Model:
    config = keras_cct.ModelConfig(
        family, (12, 16, channels), 3, 1, 2, 8, class_names=CLASS_NAMES, **TOKENIZERS[family]
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


@dataclasses.dataclass(frozen=True)
class Served:
    """A model, its SavedModel in a folder, and what a process with TensorFlow only got from it."""

    model: keras.Model
    folder: Path
    images: np.ndarray
    outputs: dict[str, np.ndarray]
    errors: dict[str, str | None]


def wrong_shapes(channels: int) -> list[tuple[int, ...]]:
    """Returns shapes, most of which have as many values as images of (12, 16, channels)."""
    return [
        (2, 24, 16, channels),
        (12, 16, channels),
        (2, 12, 16, 4 - channels),
        (4, 6, 8, channels),
        (2, 192 * channels),
    ]


SERVED = {"gray cct": (1, "cct"), "color vit": (3, "vit")}


@pytest.fixture(scope="module")
def all_served(tmp_path_factory) -> dict[str, Served]:
    models, folders, images = {}, {}, {}
    for name, (channels, family) in SERVED.items():
        models[name], folders[name] = model_for(channels, family), tmp_path_factory.mktemp(family)
        keras_cct.export_saved_model(models[name], folders[name] / "saved_model")
        images[name] = np.random.default_rng(1).integers(0, 256, (5, 12, 16, channels), dtype="uint8")
        lists = {"encoded": encoded_images(), "wrong_shapes": wrong_shapes(channels)}
        np.savez(
            folders[name] / "inputs.npz",
            images=images[name],
            **{key: np.fromiter(values, dtype=object) for key, values in lists.items()},
        )
    command = [sys.executable, "-c", CALL_WITH_TENSORFLOW_ONLY, *map(str, folders.values())]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    errors = map(json.loads, lines[-len(SERVED) :])
    return {
        name: Served(models[name], folders[name], images[name], dict(np.load(folders[name] / "outputs.npz")), messages)
        for name, messages in zip(SERVED, errors, strict=True)
    }


@pytest.fixture(params=SERVED)
def served(request, all_served) -> Served:
    return all_served[request.param]


def test_every_signature_equals_keras_in_a_process_with_tensorflow_only(served, tmp_path):
    outputs, predictor = served.outputs, KerasPredictor(served.model)
    assert outputs["class_names"].tolist() == CLASS_NAMES
    assert not [name for name in outputs["keras"] if name.startswith("keras_cct")]
    expected = predictor.probabilities(served.images)
    np.testing.assert_allclose(outputs["default"], expected, atol=1e-4)
    np.testing.assert_allclose(outputs["uint8"], expected, atol=1e-4)
    for index, content in enumerate(encoded_images()):
        (tmp_path / "image").write_bytes(content)
        (classes,) = predict_files(predictor, [tmp_path / "image"], top=3)
        by_name = dict(zip(CLASS_NAMES, outputs["encoded"][index], strict=True))
        assert by_name == pytest.approx(dict(classes), abs=1e-4)


def test_wrong_shapes_fail_in_every_signature_and_empty_batches_are_empty(served):
    channels = served.images.shape[-1]
    for signature in ("serving_default", "serve_uint8"):
        for shape in wrong_shapes(channels):
            assert f"expected shape [?,12,16,{channels}]" in str(served.errors[f"{signature} {shape}"])
    assert "expected shape [?]" in str(served.errors["serve_encoded"])
    for name in ("no_floats", "no_integers", "no_files"):
        assert served.outputs[name].shape == (0, 3)


def test_models_of_other_channels_are_served_from_pixels_and_names_can_be_given_at_export(tmp_path):
    keras_cct.export_saved_model(model_for(5), tmp_path / "saved_model", class_names=["a b", "c", "d"])
    predictor = keras_cct.load_predictor(tmp_path / "saved_model")
    assert (predictor.image_shape, predictor.class_names) == ((12, 16, 5), ("a b", "c", "d"))


@pytest.mark.parametrize(
    "family",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cvt_2_4_32", "vit_2_4_32", "manifold_cct_2_3x2_32")),
        "grassmanian_vit_2_4_32",
    ],
)
def test_other_families_export(family, tmp_path):
    model = keras_cct.create_model(family, input_shape=(8, 8, 3), num_layers=1)
    keras_cct.export_saved_model(model, tmp_path / "saved_model")
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


def test_an_export_that_differs_in_any_signature_is_removed(all_served, tmp_path, monkeypatch):
    call_signature = SavedModelPredictor._call_signature
    wrong_name = "serve_uint8"

    def call_wrongly(self, name, *arguments):
        return call_signature(self, name, *arguments) + (2e-4 if name == wrong_name else 0)

    monkeypatch.setattr(SavedModelPredictor, "_call_signature", call_wrongly)
    message = "signature {} of the SavedModel differs from Keras by 0.0002"
    with pytest.raises(VerificationError, match=message.format(wrong_name)):
        keras_cct.export_saved_model(model_for(3), tmp_path / "saved_model")
    assert list(tmp_path.iterdir()) == []
    served = all_served["color vit"]
    predictor, expected = SavedModelPredictor(served.folder / "saved_model"), KerasPredictor(served.model)
    for wrong_name in ("serving_default", "serve_encoded"):
        with pytest.raises(VerificationError, match=message.format(wrong_name)):
            verify_signatures(predictor, served.images, expected.probabilities(served.images))
