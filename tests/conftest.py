import gc

import keras
import pytest


@pytest.fixture(scope="session", autouse=True)
def _imports_are_no_garbage():
    """Excludes the objects of the imported modules from garbage collection; Keras collects for each quantized layer."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)
