import gc

# Before Keras, as in the commands, so that TensorFlow uses oneDNN in every process of a test.
import keras_cct  # noqa: F401 # isort: skip

import keras
import pytest


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_collected_once_per_module():
    """Saves a tenth of the time; what outlives a module is frozen, so that no later collection visits it again."""
    gc.disable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
