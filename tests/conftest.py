import gc

# Before Keras, as in the commands, so that TensorFlow uses oneDNN in every process of a test.
import keras_cct  # noqa: F401 # isort: skip

import keras
import pytest


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_collected_once_per_module():
    """Saves a tenth of the time; objects of imported modules are frozen, as Keras collects per quantized layer."""
    gc.disable()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
