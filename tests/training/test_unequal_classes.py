"""What class weights and the balanced sampler do for rare classes."""

import keras
import numpy as np
import pytest

import keras_cct
from keras_cct.data.augment.plan import Augmentation
from keras_cct.data.images import LabeledImages
from keras_cct.data.pipeline import training_batches

SHAPE = (28, 28, 1)
EPOCHS, BATCH_SIZE = 12, 32


def unbalanced_sample(common: int, rare: int) -> LabeledImages:
    """Returns a part of the sample with many images of even classes and few of odd ones."""
    data = keras_cct.load_sample("train")
    rows = [np.flatnonzero(data.labels == label)[: rare if label % 2 else common] for label in range(10)]
    chosen = np.sort(np.concatenate(rows))
    return LabeledImages(data.images[chosen], data.labels[chosen], data.class_names)


def trained_recall(**keys) -> np.ndarray:
    """Trains a tiny model on 10:1 classes, and returns the recall of each class of the test images."""
    keras.utils.set_random_seed(1)
    data = unbalanced_sample(100, 10)
    recipe = keras_cct.load_recipe(
        "sample",
        epochs=EPOCHS,
        cooldown_epochs=0,
        warmup_epochs=0,
        no_aug=True,
        mixup=0,
        cutmix=0,
        reprob=0,
        hflip=0,
        **keys,
    )
    model = keras_cct.CVT(
        input_shape=SHAPE, num_layers=1, num_heads=2, dim=32, mlp_ratio=1, patch_size=4, normalization=(0.29, 0.35)
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss)
    batches = training_batches(data, recipe, Augmentation.from_recipe(recipe).for_images(SHAPE, BATCH_SIZE))
    model.fit(batches, epochs=1, steps_per_epoch=EPOCHS * (len(data) // BATCH_SIZE), shuffle=False, verbose=0)
    return keras_cct.evaluate(model, keras_cct.load_sample("test")).per_class.recall


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return trained_recall()


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{"class_weights": "balanced"}, {"sampler": "balanced"}])
def test_balancing_raises_macro_recall_of_ten_to_one_classes(keys, plain):
    recall = trained_recall(**keys)
    assert recall[1::2].mean() > plain[1::2].mean()
    assert recall.mean() > plain.mean() + 0.05  # measured: 30 % without, 47 % with either
