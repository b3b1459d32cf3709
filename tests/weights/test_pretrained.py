import pytest

import keras_cct
from keras_cct.models.variants import variant_dataset
from keras_cct.weights.pretrained import CHECKPOINTS

PUBLISHED = [checkpoint for checkpoint in CHECKPOINTS if checkpoint.url]
PARAMETERS = {"argvalues": CHECKPOINTS, "ids": lambda checkpoint: f"{checkpoint.variant}-{checkpoint.tag}"}


def test_there_are_ten_published_checkpoints_at_ten_addresses():
    assert len({checkpoint.url for checkpoint in PUBLISHED}) == len(PUBLISHED) == 10


@pytest.mark.parametrize("checkpoint", **PARAMETERS)
def test_a_checkpoint_has_the_weights_of_its_variant(checkpoint):
    model = keras_cct.create_model(checkpoint.variant, **checkpoint.model_fields())
    assert model.count_params() == checkpoint.num_params


@pytest.mark.parametrize("checkpoint", PUBLISHED, ids=PARAMETERS["ids"])
def test_a_published_checkpoint_names_the_classes_of_its_variant(checkpoint):
    assert checkpoint.class_names == keras_cct.class_names(variant_dataset(checkpoint.variant))
