import pytest

import keras_cct
from keras_cct.catalogue import CHECKPOINTS


def test_there_are_ten_checkpoints_at_ten_addresses():
    assert len({checkpoint.url for checkpoint in CHECKPOINTS}) == len(CHECKPOINTS) == 10


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: f"{checkpoint.variant}-{checkpoint.tag}")
def test_a_checkpoint_has_the_weights_of_its_variant(checkpoint):
    assert keras_cct.create_model(checkpoint.variant).count_params() == checkpoint.num_params
