import csv
import dataclasses
import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from fixtures.predictors import FixedPredictor

import keras_cct
from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.evaluation.class_matching import read_label_map
from keras_cct.evaluation.evaluate import evaluate
from keras_cct.evaluation.files import write_evaluation

NAMES = FixedPredictor.class_names


def labeled(labels: list[int], class_names: tuple[str, ...] = NAMES) -> LabeledImages:
    return LabeledImages(np.zeros((len(labels), 4, 4, 1), "uint8"), np.array(labels), class_names)


def test_accuracy_counts_the_first_and_the_first_five():
    descending = [0.3, 0.25, 0.2, 0.15, 0.08, 0.02]
    evaluation = evaluate(FixedPredictor([descending] * 8), labeled([0, 0, 0, 1, 4, 5, 5, 2]), batch_size=3)
    assert (evaluation.top1, evaluation.top5) == (37.5, 75.0)


def test_labels_are_matched_by_name():
    reversed_names = labeled([0, 5], NAMES[::-1])
    assert evaluate(FixedPredictor([[0, 0, 0, 0, 0, 1]] * 2), reversed_names).top1 == 50.0


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
    assert evaluate(FixedPredictor(np.eye(6)[:2]), labeled([0, 1], tuple("uvwxyz"))).top1 == 100.0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "(u, ...)" in record.message
    assert "(a, ...)" in record.message


@pytest.mark.parametrize(
    ("model_names", "data_names"), [(NAMES, tuple("012345")), (tuple("012345"), NAMES), (None, NAMES)]
)
def test_classes_without_names_are_matched_by_index(model_names, data_names, caplog):
    predictor = FixedPredictor(np.eye(6)[:2])
    predictor.class_names = model_names
    assert evaluate(predictor, labeled([0, 1], data_names)).top1 == 100.0
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
    expected = evaluate(keras_cct.KerasPredictor(model), data).probabilities
    np.testing.assert_array_equal(evaluate(model, data).probabilities, expected)


def test_images_of_other_channels_are_refused():
    two_channels = dataclasses.replace(labeled([0]), images=np.zeros((1, 4, 4, 2), "uint8"))
    with pytest.raises(keras_cct.InputError, match=r"1 channels, but the dataset has 2"):
        evaluate(FixedPredictor([]), two_channels)


def test_another_number_of_classes_is_refused():
    with pytest.raises(keras_cct.InputError, match="the model has 2 classes, but the dataset has 6"):
        evaluate(FixedPredictor([[0.5, 0.5]]), labeled([0]))
    with pytest.raises(keras_cct.InputError, match="the model has 6 classes, but the dataset has 2"):
        evaluate(FixedPredictor([]), labeled([0], ("y", "z")))


def test_data_of_some_of_the_classes_is_evaluated():
    evaluation = evaluate(FixedPredictor(np.eye(6)[[2, 2]]), labeled([0, 1], ("c", "b")))
    assert evaluation.top1 == 50
    assert evaluation.labels.tolist() == [2, 1]


def test_a_dataset_without_images_is_refused():
    with pytest.raises(keras_cct.InputError, match="has no images"):
        evaluate(FixedPredictor([]), labeled([]))


def test_models_that_predict_nan_are_refused():
    with pytest.raises(keras_cct.InputError, match="predicts NaN"):
        evaluate(FixedPredictor([[float("nan")] * 6]), labeled([0]))


def test_a_label_map_selects_and_merges_classes():
    label_map = {"cat": "c", "tomcat": "c", "dog": "d"}
    data = labeled([0, 1, 2], ("cat", "tomcat", "dog"))
    evaluation = evaluate(FixedPredictor([[0, 0, 1, 0, 0, 0]] * 3), data, label_map=label_map)
    np.testing.assert_array_equal(evaluation.labels, [2, 2, 3])
    assert evaluation.class_names == NAMES
    assert evaluation.per_class.support.tolist() == [0, 0, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("label_map", "model_names", "expected"),
    [
        ({"cat": "c"}, NAMES, "lacks the classes 'dog'"),
        ({"cat": "c", "dog": "hound"}, NAMES, "names 'hound'"),
        ({"cat": "c", "dog": "d"}, None, "has no class names"),
    ],
)
def test_an_incomplete_label_map_is_refused(label_map, model_names, expected):
    predictor = FixedPredictor([])
    predictor.class_names = model_names
    with pytest.raises(keras_cct.InputError, match=expected):
        evaluate(predictor, labeled([0], ("cat", "dog")), label_map=label_map)


def test_label_maps_are_read_from_csv(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text('n01,"golden retriever, dog"\n\nn02, tabby\n')
    assert read_label_map(path) == {"n01": "golden retriever, dog", "n02": "tabby"}
    for text, expected in (("a,b,c\n", "has 3 columns"), ("a,b\na,c\n", "lists 'a' again"), ('"a,b\n', "label map")):
        path.write_text(text)
        with pytest.raises(keras_cct.InputError, match=expected):
            read_label_map(path)
    with pytest.raises(keras_cct.InputError, match="does not exist"):
        read_label_map(tmp_path / "missing.csv")


def test_hflip_averages_the_image_and_its_mirror_image():
    data = LabeledImages(np.arange(32, dtype="uint8").reshape(2, 4, 4, 1), np.array([0, 0]), NAMES)
    predictor = FixedPredictor([[1, 0, 0, 0, 0, 0]] * 2 + [[0, 1, 0, 0, 0, 0]] * 2)
    evaluation = evaluate(predictor, data, tta="hflip")
    np.testing.assert_array_equal(evaluation.probabilities, [[0.5, 0.5, 0, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(predictor.seen[1], data.images[:, :, ::-1])


def test_five_crop_averages_the_center_and_the_corners():
    data = LabeledImages(np.arange(64, dtype="uint8").reshape(1, 8, 8, 1), np.array([0]), NAMES)
    predictor = FixedPredictor([[1, 0, 0, 0, 0, 0]] * 4 + [[0, 1, 0, 0, 0, 0]])
    evaluation = evaluate(predictor, data, tta="five-crop", crop_pct=0.5)
    assert evaluation.probabilities[0, 0] == pytest.approx(0.8)
    corners = [view[0, 0, 0, 0] for view in predictor.seen]
    assert corners == [2 * 8 + 2, 0, 4, 4 * 8, 4 * 8 + 4]


def test_unknown_test_time_augmentation_is_refused():
    with pytest.raises(keras_cct.InputError, match="hflip, five-crop"):
        evaluate(FixedPredictor([]), labeled([0]), tta="rotate")
    with pytest.raises(keras_cct.InputError, match="five identical crops"):
        evaluate(FixedPredictor([]), labeled([0]), tta="five-crop")


def test_one_class_is_refused_and_images_of_one_class_are_reported(caplog):
    predictor = FixedPredictor([])
    predictor.class_names = ("only",)
    with pytest.raises(keras_cct.InputError, match="the only class is 'only'"):
        evaluate(predictor, labeled([0], ("only",)))
    evaluation = evaluate(FixedPredictor([[1, 0, 0, 0, 0, 0]] * 2), labeled([0, 0]))
    assert evaluation.macro_f1 == evaluation.top1 == 100
    assert "all 2 images have the label 'a'" in caplog.text


def test_mistakes_are_the_most_confident_ones_with_their_pixels():
    data = LabeledImages(np.arange(48, dtype="uint8").reshape(3, 4, 4, 1), np.array([0, 0, 0]), NAMES)
    predictor = FixedPredictor([[0.4, 0.6, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0.1, 0.9, 0, 0, 0]])
    evaluation = evaluate(predictor, data, batch_size=2)
    found = [(item.index, item.label, item.prediction, item.confidence) for item in evaluation.mistakes]
    assert found == [(2, 0, 2, 0.9), (0, 0, 1, 0.6)]
    np.testing.assert_array_equal(evaluation.mistakes[0].pixels, data.images[2])


def test_every_batch_is_reported():
    counts = []
    evaluation = evaluate(
        FixedPredictor([[1, 0, 0, 0, 0, 0]] * 5), labeled([0, 1, 2, 3, 4]), batch_size=2, on_batch=counts.append
    )
    assert counts == [2, 2, 1]
    assert len(evaluation) == 5
    assert evaluation.images_per_second > 0


def test_written_files_hold_the_numbers(tmp_path):
    evaluation = evaluate(FixedPredictor([[0.75, 0.25, 0, 0, 0, 0]] * 3), labeled([0, 0, 1]))
    write_evaluation(evaluation, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == evaluation.metrics()
    assert metrics["top1"] == pytest.approx(200 / 3)
    per_class = list(csv.DictReader((tmp_path / "per_class.csv").read_text().splitlines()))
    assert per_class[0] == {"class": "a", "precision": "66.67", "recall": "100", "f1": "80", "support": "2"}
    confusion = list(csv.reader((tmp_path / "confusion.csv").read_text().splitlines()))
    assert confusion[0] == ["label", *NAMES]
    assert confusion[2] == ["b", "1", "0", "0", "0", "0", "0"]


def test_an_unreadable_image_is_replaced_with_one_warning(caplog):
    white = tf.io.encode_png(np.full((4, 4, 3), 255, "uint8")).numpy()
    data = EncodedImages(["a.png", "b.png"], np.array([1, 0]), NAMES, contents=[b"broken", white])
    evaluation = evaluate(FixedPredictor(np.eye(6)[:2]), data)
    assert evaluation.labels.tolist() == [0, 0]
    assert [record.message for record in caplog.records if "a.png" in record.message] == [caplog.messages[0]]
    assert "'a.png' cannot be read and is replaced by the next image" in caplog.messages[0]
