import subprocess
import sys

import pytest

import keras_cct
from keras_cct.facts.datasets import DATASETS, SYNONYMS, standard_name
from keras_cct.models.variant_table import VARIANTS


@pytest.mark.parametrize(
    ("dataset", "count"),
    [("cifar10", 10), ("cifar100", 100), ("fashion_mnist", 10), ("mnist", 10), ("flowers102", 102), ("imagenet", 1000)],
)
def test_every_class_has_a_unique_name(dataset, count):
    names = keras_cct.class_names(dataset)
    assert len(names) == len({name.lower() for name in names}) == count
    assert all(name and name == name.strip() for name in names)


def test_every_dataset_has_consistent_facts():
    for name, dataset in DATASETS.items():
        assert len(keras_cct.class_names(name)) == dataset.num_classes
        assert len(dataset.mean) == len(dataset.std) in (1, 3)
        assert all(0 < value < 1 for value in dataset.mean + dataset.std)


def test_synonyms_lead_to_datasets():
    assert set(SYNONYMS.values()) <= set(DATASETS)
    assert not set(SYNONYMS) & set(DATASETS)
    assert standard_name("imagenet1k") == standard_name("imagenet2012") == standard_name("imagenet") == "imagenet"
    assert standard_name("unknown") == "unknown"


def test_every_dataset_of_a_variant_has_names():
    for name in {variant.dataset for variant in VARIANTS.values()}:
        assert len(keras_cct.class_names(name)) == DATASETS[name].num_classes


@pytest.mark.parametrize(
    ("dataset", "index", "name"),
    [
        ("cifar10", 0, "airplane"),
        ("cifar10", 9, "truck"),
        ("cifar100", 0, "apple"),
        ("cifar100", 1, "aquarium_fish"),
        ("cifar100", 99, "worm"),
        ("fashion_mnist", 0, "t-shirt"),
        ("fashion_mnist", 9, "ankle boot"),
        ("mnist", 7, "7"),
        ("flowers102", 0, "pink primrose"),
        ("flowers102", 53, "sunflower"),
        ("flowers102", 101, "blackberry lily"),
        ("imagenet", 0, "tench"),
        ("imagenet", 1, "goldfish"),
        ("imagenet", 207, "golden retriever"),
        ("imagenet", 281, "tabby"),
        ("imagenet", 388, "giant panda"),
        ("imagenet", 817, "sports car"),
        ("imagenet", 954, "banana"),
        ("imagenet", 999, "toilet tissue"),
    ],
)
def test_names_are_in_the_order_of_the_logits(dataset, index, name):
    assert keras_cct.class_names(dataset)[index] == name


def test_synsets_with_the_same_first_name_have_distinct_names():
    names = keras_cct.class_names("imagenet")
    assert [names[index] for index in (134, 517, 264, 474, 638, 639)] == [
        "crane (bird)",
        "crane (machine)",
        "Cardigan Welsh corgi",
        "cardigan",
        "maillot",
        "tank suit",
    ]


def test_cifar_names_are_in_alphabetical_order():
    for dataset in ("cifar10", "cifar100"):
        assert list(keras_cct.class_names(dataset)) == sorted(keras_cct.class_names(dataset))


def test_synonyms_have_the_same_class_names():
    assert keras_cct.class_names("oxford_flowers102") == keras_cct.class_names("flowers102")
    assert keras_cct.class_names("imagenet2012") == keras_cct.class_names("imagenet")


def test_unknown_dataset_is_rejected_with_the_choices():
    with pytest.raises(keras_cct.InputError, match="no class names for .*'pets'") as error:
        keras_cct.class_names("pets")
    assert all(name in str(error.value) for name in DATASETS)


def test_class_names_load_no_framework():
    program = "import sys, keras_cct; keras_cct.class_names('imagenet'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"keras", "tensorflow", "numpy"} & set(done.stdout.split())
