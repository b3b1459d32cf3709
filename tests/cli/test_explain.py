from pathlib import Path

import numpy as np
import pytest
from fixtures.images import encoded, photo
from PIL import Image

import keras_cct
from keras_cct.cli import explain, main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    fields = {"input_shape": (24, 16, 3), "num_layers": 2, "num_heads": 2, "dim": 8}
    keras_cct.CVT(**fields, patch_size=4, attention_type="spd").save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "photo.png").write_bytes(encoded(photo(), "PNG"))
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


def test_overlays_and_heads_are_written_per_image(model, photos, capsys):
    output = photos / "out"
    images = [str(photos / "a"), str(photos / "b" / "photo.png")]
    style = ["--interpolation", "nearest", "--color-map", "magma", "--alpha", "1"]
    assert main(["explain", str(model), *images, "--output", str(output), *style]) == 0
    names = {"pooling.png", "rollout.png", "heads.png", "heads-euclidean.png", "heads-spd.png"}
    for folder in ("a-photo", "b-photo"):
        assert {path.name for path in (output / folder).iterdir()} == names
    assert capsys.readouterr().out == f"wrote {output / 'a-photo'}\nwrote {output / 'b-photo'}\n"
    with Image.open(output / "a-photo" / "pooling.png") as image:
        pooling = np.asarray(image)
    assert pooling.shape == (336, 224, 3)
    # Patches of 4x4 pixels, enlarged 14 times, each in one color.
    patches = pooling.reshape(6, 56, 4, 56, 3)
    assert (patches == patches[:, :1, :, :1]).all()
    assert len(np.unique(patches[:, 0, :, 0].reshape(-1, 3), axis=0)) > 3
    with Image.open(output / "a-photo" / "heads-spd.png") as heads:
        assert heads.size == (2 * 224 + 4, 2 * 336 + 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.keras", "{photo}"], "no model at 'none.keras'"),
        (["{model}", "none.png"], "'none.png' "),
        (["{model}", "{photo}", "{photos}/b"], "broken.png': not an image"),
        (["{model}", "{photos}/out"], "out' "),
        (["{model}", "{photo}", "--alpha", "2"], "--alpha must be a number in [0, 1], got 2.0"),
        (["{model}", "{photo}", "--color-map", "virids"], "Did you mean 'viridis'"),
        (["{artifact}", "{photo}"], "model.onnx' is an exported artifact"),
        (["{model}", "{photo}", "--output", "{photos}/a"], "a' exists already"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, model, photos, capsys):
    (photos / "model.onnx").touch()
    names = {"model": model, "photos": photos, "photo": photos / "a" / "photo.png", "artifact": photos / "model.onnx"}
    arguments = [argument.format(**names) for argument in arguments]
    output = [] if "--output" in arguments else ["--output", str(photos / "out")]
    before = sorted(photos.rglob("*"))
    assert main(["explain", *arguments, *output]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(photos.rglob("*")) == before


def test_models_of_normalized_images_are_refused(photos, capsys):
    path = photos / "normalized.keras"
    keras_cct.CVT(input_shape=(8, 8, 3), num_layers=1, dim=8, num_heads=2, normalization=None).save(path)
    assert main(["explain", str(path), str(photos / "a"), "--output", str(photos / "out")]) == 2
    assert "takes normalized images, not pixels" in capsys.readouterr().err


def test_names_without_letters_get_the_name_of_their_folder():
    files = [Path("/photos/cat/...png"), Path("/photos/cat/a.png"), Path("/photos/cat/a.jpg")]
    named = explain._named(files, [np.zeros(()), np.zeros(()), np.zeros(())])
    assert list(named) == ["cat-..", "cat-a", "cat-a-2"]
