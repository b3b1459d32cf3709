import pytest

import keras_cct
from keras_cct.facts.datasets import DATASETS
from keras_cct.models.variants import variant_dataset
from keras_cct.weights.pretrained import CHECKPOINTS, find_checkpoint, published_tag

PUBLISHED = [checkpoint for checkpoint in CHECKPOINTS if not checkpoint.bundled]


def label(checkpoint) -> str:
    return f"{checkpoint.variant}-{checkpoint.tag}"


def test_ten_published_checkpoints_have_ten_urls():
    assert len({checkpoint.url for checkpoint in PUBLISHED}) == len(PUBLISHED) == 10


def test_bundled_checkpoint_has_a_hash_and_no_url():
    (bundled,) = [checkpoint for checkpoint in CHECKPOINTS if checkpoint.bundled]
    assert bundled.url is None
    assert len(bundled.sha256) == 64
    fashion_mnist = DATASETS["fashion_mnist"]
    assert bundled.model_fields()["normalization"] == (fashion_mnist.mean, fashion_mnist.std)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=label)
def test_checkpoint_has_the_number_of_weights_of_its_variant(checkpoint):
    model = keras_cct.create_model(checkpoint.variant, **checkpoint.model_fields())
    assert model.count_params() == checkpoint.num_params


@pytest.mark.parametrize("checkpoint", PUBLISHED, ids=label)
def test_published_checkpoint_has_the_class_names_of_its_variant(checkpoint):
    assert checkpoint.class_names == keras_cct.class_names(variant_dataset(checkpoint.variant))


def test_unknown_tag_lists_the_alternatives():
    with pytest.raises(
        keras_cct.InputError, match="cct_7_3x1_32_sine has no weights 'imagenet'.* cifar10, cifar10-1500"
    ):
        find_checkpoint("cct_7_3x1_32_sine", "imagenet")
    with pytest.raises(keras_cct.InputError, match="cvt_7_4_32 has no published weights 'cifar10'.*, cct_7_3x1_32, "):
        find_checkpoint("cvt_7_4_32", "cifar10")


def test_first_tag_of_a_variant_is_its_published_tag():
    assert published_tag("cct_7_3x1_32_sine") == "cifar10"
    with pytest.raises(keras_cct.InputError, match="cvt_7_4_32 has no published weights.*, cct_7_3x1_32, "):
        published_tag("cvt_7_4_32")
