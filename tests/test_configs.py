"""The header of every shipped config describes its content, and its values agree with the facts about its dataset."""

import re

import pytest
import yaml

from keras_cct.facts.datasets import DATASETS
from keras_cct.recipe.loading import CONFIGS

NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yml"))
TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "fashion_mnist": "Fashion-MNIST",
    "flowers102": "Flowers-102",
    "imagenet": "ImageNet",
    "sample": "The bundled sample",
}


@pytest.fixture(params=NAMES)
def config(request) -> tuple[str, str, dict]:
    """The file name of a config, its first line and its values."""
    path = CONFIGS / request.param
    text = path.read_text()
    return path.stem, text.splitlines()[0], yaml.safe_load(text)


def test_header_names_the_dataset(config):
    _, header, values = config
    assert re.match(rf"# {TITLES[values['dataset']]}[ ,.]", header)


def test_header_names_the_model(config):
    _, header, values = config
    named = re.findall(r"\b(?:cct|cvt|vit)_\w+", header)
    assert named == ([values["model"]] if "model" in values else [])


def test_header_names_the_number_of_epochs_and_the_image_size(config):
    _, header, values = config
    assert re.findall(r"(\d+) epochs", header) == [str(values["epochs"])]
    sizes = re.findall(r"at (\d+)x(\d+)", header)
    assert all((height, width) == (str(values["img_size"]),) * 2 for height, width in sizes)


def test_file_name_agrees_with_the_content(config):
    stem, _, values = config
    if "model" in values and stem.startswith("cct_"):
        size, kernel, dataset, epochs = re.fullmatch(r"cct_(\d+)-(\dx\d)_(\w+?)(?:_(\d+)epochs)?", stem).groups()
        assert values["model"].startswith(f"cct_{size}_{kernel}_")
        assert dataset.removesuffix("384") == values["dataset"]
        assert epochs in (None, str(values["epochs"]))
    else:
        assert stem == values["dataset"]


def test_classes_and_statistics_are_those_of_the_dataset(config):
    _, _, values = config
    dataset = DATASETS["fashion_mnist" if values["dataset"] == "sample" else values["dataset"]]
    assert values.get("num_classes", dataset.num_classes) == dataset.num_classes
    assert (tuple(values["mean"]), tuple(values["std"])) == (dataset.mean, dataset.std)
