import dataclasses
import logging

import numpy as np
import pytest
from fixtures.predictors import FixedPredictor

import keras_cct
from keras_cct.data.images import LabeledImages
from keras_cct.inference.evaluation import evaluate

NAMES = FixedPredictor.class_names


def labeled(labels: list[int], class_names: tuple[str, ...] = NAMES) -> LabeledImages:
    return LabeledImages(np.zeros((len(labels), 4, 4, 1), "uint8"), np.array(labels), class_names)


def test_accuracy_counts_the_first_and_the_first_five():
    descending = [0.3, 0.25, 0.2, 0.15, 0.08, 0.02]
    accuracy = evaluate(FixedPredictor([descending] * 8), labeled([0, 0, 0, 1, 4, 5, 5, 2]), batch_size=3)
    assert accuracy == {"top1": 37.5, "top5": 75.0}


def test_labels_are_matched_by_name():
    reversed_names = labeled([0, 5], NAMES[::-1])
    assert evaluate(FixedPredictor([[0, 0, 0, 0, 0, 1]] * 2), reversed_names)["top1"] == 50.0


@pytest.mark.parametrize(
    ("data_names", "differing"),
    [
        (("a", "b", "c", "d", "e", "z"), ("'z'", "'f'")),
        (("z", "a", "b", "c", "d", "e"), ("'z'", "'f'")),
        (("a", "1", "2", "3", "4", "5"), ("'1', '2', '3', '4', '5'", "'b', 'c', 'd', 'e', 'f'")),
    ],
)
def test_a_partial_match_of_names_is_refused_with_the_names_that_differ(data_names, differing):
    with pytest.raises(keras_cct.InputError) as error:
        evaluate(FixedPredictor([]), labeled([0], data_names))
    for names in differing:
        assert names in str(error.value)


def test_a_partial_match_of_many_names_shows_a_few():
    model_names, data_names = (("same", *(f"{prefix}{i}" for i in range(99))) for prefix in "ab")
    predictor = FixedPredictor([])
    predictor.class_names = model_names
    with pytest.raises(keras_cct.InputError, match="'b4' and 94 more") as error:
        evaluate(predictor, labeled([0], data_names))
    assert len(str(error.value)) < 300


def test_entirely_different_names_are_matched_by_index_with_a_warning(caplog):
    assert evaluate(FixedPredictor([[0, 1, 0, 0, 0, 0]]), labeled([1], tuple("uvwxyz")))["top1"] == 100.0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "(u, ...)" in record.message
    assert "(a, ...)" in record.message


@pytest.mark.parametrize(
    ("model_names", "data_names"), [(NAMES, tuple("012345")), (tuple("012345"), NAMES), (None, NAMES)]
)
def test_classes_without_names_are_matched_by_index(model_names, data_names, caplog):
    predictor = FixedPredictor([[0, 1, 0, 0, 0, 0]])
    predictor.class_names = model_names
    assert evaluate(predictor, labeled([1], data_names))["top1"] == 100.0
    assert caplog.messages == []


def test_images_of_another_size_are_resized():
    predictor = FixedPredictor([[1, 0, 0, 0, 0, 0]])
    dark = LabeledImages(np.full((1, 8, 6, 1), 7, "uint8"), np.array([0]), NAMES)
    evaluate(predictor, dark)
    np.testing.assert_array_equal(predictor.seen[0], np.full((1, 4, 4, 1), 7))


def test_a_grayscale_model_sees_the_luma_of_rgb_images():
    predictor = FixedPredictor([[1, 0, 0, 0, 0, 0]])
    red = np.broadcast_to(np.array([255, 0, 0], "uint8"), (1, 4, 4, 3))
    evaluate(predictor, LabeledImages(red, np.array([0]), NAMES))
    np.testing.assert_array_equal(predictor.seen[0], np.full((1, 4, 4, 1), 76))  # 0.299 * 255


def test_a_keras_model_is_evaluated_like_its_predictor():
    model = keras_cct.create_model("cct_2_3x2_32", num_classes=3, input_shape=(8, 8, 1))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype="uint8")
    data = LabeledImages(pixels, np.array([0, 1, 2] * 2), ("0", "1", "2"))
    assert evaluate(model, data) == evaluate(keras_cct.KerasPredictor(model), data)


def test_images_of_other_channels_are_refused():
    two_channels = dataclasses.replace(labeled([0]), images=np.zeros((1, 4, 4, 2), "uint8"))
    with pytest.raises(keras_cct.InputError, match=r"1 channels, but the dataset has 2"):
        evaluate(FixedPredictor([]), two_channels)


def test_another_number_of_classes_is_refused():
    with pytest.raises(keras_cct.InputError, match="the model has 2 classes, but the dataset has 6"):
        evaluate(FixedPredictor([[0.5, 0.5]]), labeled([0]))
    with pytest.raises(keras_cct.InputError, match="the model has 6 classes, but the dataset has 2"):
        evaluate(FixedPredictor([]), labeled([0], ("a", "b")))


def test_a_dataset_without_images_is_refused():
    with pytest.raises(keras_cct.InputError, match="has no images"):
        evaluate(FixedPredictor([]), labeled([]))


def test_models_that_predict_nan_are_refused():
    with pytest.raises(keras_cct.InputError, match="predicts NaN"):
        evaluate(FixedPredictor([[float("nan")] * 6]), labeled([0]))
