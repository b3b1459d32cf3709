"""Models on the hub, read with the real client from a local server."""

import sys

import numpy as np
import pytest
from fixtures.custom_layer import custom_model
from fixtures.hub_server import Repository, running_hub, use_hub
from fixtures.weight_files import assert_identical_outputs, filled_model

import keras_cct
from keras_cct.cli import main
from keras_cct.weights import hub

constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is an extra")

URL = "hf://ada/pets"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two versions of a model, and their files."""
    folder = tmp_path_factory.mktemp("models")
    found = []
    for index, create in enumerate((filled_model, keras_cct.create_model)):
        model = create("cvt_2_4_32")
        model.save(folder / f"{index}.keras")
        found.append((model, (folder / f"{index}.keras").read_bytes()))
    return found


@pytest.fixture
def server(models, tmp_path, monkeypatch):
    with running_hub() as running:
        use_hub(running, tmp_path, monkeypatch)
        repository = running.repositories["ada/pets"] = Repository()
        for tag, (_, content) in zip(("v1", "v2"), models, strict=True):
            repository.references[tag] = repository.commit({"model.keras": content})
        yield running


def error_of(function, *arguments, **named) -> str:
    with pytest.raises(keras_cct.InputError) as error:
        function(*arguments, **named)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_newest_version_loads_as_it_is(server, models):
    assert_identical_outputs(keras_cct.create_model(weights=URL), models[1][0])
    assert_identical_outputs(keras_cct.create_model("cvt_2_4_32", weights=URL), models[1][0])


def test_a_tag_and_a_commit_select_a_version(server, models):
    commit = server.repositories["ada/pets"].references["v1"]
    for revision in ("v1", commit):
        assert_identical_outputs(keras_cct.create_model(weights=f"{URL}@{revision}"), models[0][0])


def test_predictors_exports_and_conversions_take_the_url(server, models, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype="uint8")
    expected = keras_cct.KerasPredictor(models[1][0]).probabilities(images)
    np.testing.assert_array_equal(keras_cct.load_predictor(URL).probabilities(images), expected)
    keras_cct.convert_weights(URL, tmp_path / "copy.keras")
    assert_identical_outputs(keras_cct.create_model(weights=tmp_path / "copy.keras"), models[1][0])


def test_commands_take_the_url(server, capsys, tmp_path):
    assert main(["predict", URL, "examples/images/sneaker.png", "--top", "1"]) == 0
    assert main(["summary", URL]) == 0
    assert main(["convert", URL, str(tmp_path / "copy.safetensors")]) == 0
    assert main(["explain", URL, "examples/images/sneaker.png", "--output", str(tmp_path / "maps")]) == 0
    assert "sneaker.png" in capsys.readouterr().out


def test_a_second_load_downloads_nothing(server):
    keras_cct.load_predictor(URL)
    first = len([request for request in server.requests if request.startswith("GET")])
    keras_cct.load_predictor(URL)
    assert len([request for request in server.requests if request.startswith("GET")]) == first == 1


@pytest.mark.parametrize("variable", ["KERAS_CCT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_the_cache_is_used_and_nothing_else(variable, server, models, monkeypatch):
    keras_cct.load_predictor(URL)
    server.requests.clear()
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", variable == "HF_HUB_OFFLINE")
    assert_identical_outputs(keras_cct.create_model(weights=URL), models[1][0])
    message = error_of(keras_cct.load_predictor, "hf://ada/birds")
    assert "hf://ada/birds" in message
    assert "not in the cache" in message
    assert server.requests == []


def test_checkpoint_folder_is_the_only_source(server, models, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    path = tmp_path / "ada" / "pets@v1" / "model.keras"
    assert str(path) in error_of(keras_cct.load_predictor, f"{URL}@v1")
    path.parent.mkdir(parents=True)
    path.write_bytes(models[0][1])
    assert_identical_outputs(keras_cct.create_model(weights=f"{URL}@v1"), models[0][0])
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("hf://ada", "does not name a model on the hub"),
        ("hf://ada/pets/model.keras", "does not name a model on the hub"),
        ("hf://ada/pets@../..", "does not name a model on the hub"),
        ("hf://ada/pe--ts", "pe--ts"),
        ("hf://ada/birds", "does not exist, or is private"),
        ("hf://ada/pets@v3", "revision 'v3' does not exist"),
        ("hf://ada/empty", "no file model.keras"),
    ],
)
def test_what_does_not_exist_is_one_line(url, expected, server):
    server.repositories["ada/empty"] = Repository()
    server.repositories["ada/empty"].commit({"README.md": b""})
    message = error_of(keras_cct.load_predictor, url)
    assert url in message
    assert expected in message


@pytest.mark.parametrize(("status", "expected"), [(401, "token"), (403, "permit"), (418, "418")])
def test_refusals_of_the_hub_are_one_line(status, expected, server):
    server.failures["/resolve/"] = status
    message = error_of(keras_cct.load_predictor, URL)
    assert str(status) in message
    assert expected in message


def test_private_models_need_the_token(server, monkeypatch):
    server.repositories["ada/pets"].private = True
    keras_cct.load_predictor(URL)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}-2")
    assert "HF_TOKEN" in error_of(keras_cct.load_predictor, URL)


def test_a_model_with_foreign_layers_is_refused_as_any_file(server, models, tmp_path):
    custom_model().save(tmp_path / "custom.keras")
    server.repositories["ada/pets"].commit({"model.keras": (tmp_path / "custom.keras").read_bytes()})
    for load in (keras_cct.load_predictor, lambda url: keras_cct.create_model(weights=url)):
        assert "Doubled" in error_of(load, URL)


def test_a_truncated_or_foreign_file_is_refused(server):
    server.repositories["ada/pets"].commit({"model.keras": b"<html>"})
    assert "model.keras" in error_of(keras_cct.load_predictor, URL)


def test_models_above_the_limit_are_not_downloaded(server, monkeypatch):
    monkeypatch.setattr(hub, "MAX_MODEL_BYTES", 1000)
    assert "more than 1,000" in error_of(keras_cct.load_predictor, URL)
    assert not [request for request in server.requests if request.startswith("GET")]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'keras_cct[hub]'" in error_of(keras_cct.load_predictor, URL)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "needs a variant"),
        ({"weights": "cifar10"}, "Pass the name of its variant"),
        ({"weights": URL, "num_classes": 3}, "num_classes=3"),
        ({"weights": "{file}"}, "do not contain their architecture"),
    ],
)
def test_create_model_without_a_variant_needs_a_whole_model(arguments, expected, tmp_path):
    file = tmp_path / "model.safetensors"
    file.touch()
    arguments = {key: str(file) if value == "{file}" else value for key, value in arguments.items()}
    assert expected in error_of(keras_cct.create_model, **arguments)
