import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.small_run import first_images, small_recipe

from keras_cct.data.augment.mixing import soft_targets
from keras_cct.training.losses import BinaryCrossEntropy, TrainedClassifier
from keras_cct.training.setup import create_training_model, plan_training

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]], "float32")
TARGETS = np.array([[0.9, 0.05, 0.05], [0.3, 0.7, 0.0]], "float32")


def binary_cross_entropies(targets: np.ndarray, logits: np.ndarray) -> np.ndarray:
    probabilities = 1 / (1 + np.exp(-logits.astype("float64")))
    return -(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities))


def test_binary_cross_entropy_is_the_mean_over_classes_and_images():
    expected = binary_cross_entropies(TARGETS, LOGITS)
    assert float(BinaryCrossEntropy()(TARGETS, LOGITS)) == pytest.approx(expected.mean(), rel=1e-6)
    weighted = float(BinaryCrossEntropy()(TARGETS, LOGITS, np.array([2.0, 0.5], "float32")))
    assert weighted == pytest.approx((2 * expected[0].mean() + 0.5 * expected[1].mean()) / 2, rel=1e-6)


def test_targets_above_the_threshold_become_one():
    hard = np.array([[1, 0, 0], [1, 1, 0]], "float32")
    expected = binary_cross_entropies(hard, LOGITS).mean()
    assert float(BinaryCrossEntropy(0.2)(TARGETS, LOGITS)) == pytest.approx(expected, rel=1e-6)
    # The threshold is exclusive, as timm's `target.gt(threshold)`.
    assert float(BinaryCrossEntropy(float(TARGETS[1, 0]))(TARGETS, LOGITS)) < expected


def batch_of_images() -> tuple[np.ndarray, np.ndarray]:
    data = first_images("train", 2)
    return data.images.astype("float32"), soft_targets(data.labels, 10, 0.1).numpy()


def model_of(**keys) -> keras.Model:
    keras.utils.set_random_seed(1)
    return create_training_model(plan_training(small_recipe(**keys), 16), first_images("train", 1))


@pytest.mark.one_backend
def test_a_step_minimizes_the_training_loss_and_evaluation_reports_the_cross_entropy():
    images, targets = batch_of_images()
    model = model_of(bce_loss=True)
    assert type(model) is TrainedClassifier
    plain = model_of()
    for weight, same in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    logits = to_numpy(model(images))
    cross_entropy = float(keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits))
    assert model.evaluate(images, targets, verbose=0)[0] == pytest.approx(cross_entropy, rel=1e-5)
    losses = [model.train_on_batch(images, targets)[0] for _ in range(5)]
    # Dropout and stochastic depth change the loss of a step a little.
    assert losses[0] == pytest.approx(binary_cross_entropies(targets, logits).mean(), rel=0.1)
    assert losses[-1] < losses[0]


def test_the_weights_have_the_same_paths_as_those_of_the_plain_model():
    assert [weight.path for weight in model_of(bce_loss=True).weights] == [weight.path for weight in model_of().weights]
