from pathlib import Path

import pytest

import keras_cct
from keras_cct.recipe.loading import CONFIGS, UNSUPPORTED_KEYS, find_config


def write(tmp_path, text: str):
    path = tmp_path / "config.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name", ["imagenet", "configs/imagenet.yml", "configs/datasets/imagenet.yml", "configs/imagenet"]
)
def test_a_shipped_config_is_found_by_name_and_as_the_reference_readme_writes_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == CONFIGS / "datasets" / "imagenet.yml"


def test_any_missing_path_finds_the_shipped_config_of_its_name_with_a_warning():
    with pytest.warns(UserWarning, match="does not exist: using the shipped config 'cifar10'"):
        assert find_config("/no/where/cifar10.yml") == CONFIGS / "datasets" / "cifar10.yml"


def test_a_file_is_preferred_to_the_shipped_config_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet.yml").write_text("model: a\ndataset: b")
    assert keras_cct.load_recipe("imagenet.yml").dataset == "b"


@pytest.mark.parametrize("name", ["simple", "configs/simple.yml", ".", "a" * 300])
def test_an_unknown_config_names_the_shipped_ones(name):
    with pytest.raises(keras_cct.InputError, match=r"no config .*cifar10, .*sample"):
        keras_cct.load_recipe(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: a\ndataset: sample\nbatchsize: 3", "unknown recipe key 'batchsize'"),
        ("model: a\ndataset: sample\n1: 3", "unknown recipe key 1"),
        ("dataset: sample", "recipe key 'model' is missing"),
        ("- 1\n- 2", "key: value"),
        ("", "key: value"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_broken_configs_are_refused_with_the_file_name(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.load_recipe(path)
    assert message in str(error.value)
    assert repr(str(path)) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", UNSUPPORTED_KEYS)
def test_unsupported_keys_of_the_reference_are_refused_with_a_reason(key):
    with pytest.raises(keras_cct.InputError) as error:
        keras_cct.load_recipe("sample", **{key: 1})
    assert str(error.value).startswith(f"recipe key {key!r} is not supported: {UNSUPPORTED_KEYS[key]}")


def test_a_key_without_a_value_keeps_its_default(tmp_path):
    assert keras_cct.load_recipe(write(tmp_path, "model: a\ndataset: b\nlr:")).lr == 0.01


def test_every_config_is_found_by_its_name():
    for path in CONFIGS.rglob("*.yml"):
        assert find_config(path.stem) == path
        assert find_config(Path("configs", path.name)) == path
