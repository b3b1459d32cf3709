import numpy as np
import pytest
from fixtures.predictors import FixedPredictor
from PIL import Image

import keras_cct
from keras_cct.inference.prediction import Prediction, predict, predict_files


@pytest.fixture
def black(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    return tmp_path / "black.png"


def test_predictions_name_the_most_probable_class_first(black):
    (classes,) = predict_files(FixedPredictor([[0.1, 0.2, 0.4, 0.05, 0.25, 0.0]]), [black], top=3)
    assert classes == [("c", 0.4), ("e", 0.25), ("b", 0.2)]


@pytest.mark.parametrize("path_type", [str, lambda path: path])
def test_one_path_is_one_file(path_type, black):
    (classes,) = predict_files(FixedPredictor([[0, 0, 1, 0, 0, 0]]), path_type(black), top=1)
    assert classes == [("c", 1.0)]


def test_one_bad_file_stops_before_any_prediction(black, tmp_path):
    with pytest.raises(keras_cct.InputError, match="none.png"):
        next(predict_files(FixedPredictor([[1, 0, 0, 0, 0, 0]]), [black, tmp_path / "none.png"]))


def test_a_keras_model_predicts_with_its_class_names(black):
    model = keras_cct.create_model("cct_2_3x2_32", num_classes=2, class_names=["cat", "dog"])
    (classes,) = predict_files(model, black)
    assert {name for name, _ in classes} == {"cat", "dog"}
    assert sum(probability for _, probability in classes) == pytest.approx(1, abs=1e-6)


def test_classes_without_names_are_their_indices(black):
    predictor = FixedPredictor([[0.1, 0.9]])
    predictor.class_names = None
    assert next(predict_files(predictor, [black])) == [("1", 0.9), ("0", 0.1)]


def test_top_must_be_a_count(black):
    with pytest.raises(keras_cct.InputError, match="top"):
        next(predict_files(FixedPredictor([]), [black], top=0))


FIRST, SECOND = [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]


def test_arrays_bytes_files_and_folders_are_predicted_in_order(black, tmp_path):
    gray = np.full((4, 4, 1), 9, "uint8")
    images = [gray, np.stack([gray + 1, gray + 2]), black.read_bytes(), tmp_path, str(black)]
    predictor = FixedPredictor([FIRST] * 6)
    predictions = list(predict(predictor, images, top=1))
    assert [prediction.path for prediction in predictions] == ["", "", "", "", str(black), str(black)]
    assert {prediction.classes for prediction in predictions} == {(("a", 1.0),)}
    assert [image[0, 0, 0] for image in predictor.seen[0]] == [9, 10, 11, 0, 0, 0]


def test_one_array_is_one_image_or_a_batch():
    images = np.zeros((2, 4, 4, 1), "uint8")
    assert len(list(predict(FixedPredictor([FIRST]), images[0]))) == 1
    assert len(list(predict(FixedPredictor([FIRST, SECOND]), images))) == 2


def test_images_are_read_and_predicted_batch_by_batch(black):
    predictor = FixedPredictor([FIRST] * 5)
    paths = iter([black] * 5)
    predictions = predict(predictor, paths, batch_size=2)
    next(predictions)
    assert len(list(paths)) == 3
    assert [len(images) for images in predictor.seen] == [2]


def test_unreadable_images_are_skipped_on_request(black, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    paths = [tmp_path / "notes.png", black, tmp_path / "none.png"]
    predictions = list(predict(FixedPredictor([SECOND]), paths, top=1, skips_unreadable=True))
    assert predictions[1] == Prediction(str(black), (("b", 1.0),))
    for prediction, path in ((predictions[0], paths[0]), (predictions[2], paths[2])):
        assert (prediction.path, prediction.classes) == (str(path), ())
        assert path.name in prediction.error
    with pytest.raises(keras_cct.InputError, match="notes.png"):
        list(predict(FixedPredictor([SECOND]), paths))


def test_without_top_every_class_is_predicted(black):
    (prediction,) = predict(FixedPredictor([FIRST]), black, top=None)
    assert len(prediction.classes) == 6


def test_arrays_of_another_shape_and_nan_are_refused():
    model = keras_cct.create_model("cct_2_3x2_32", num_classes=2, input_shape=(8, 8, 3))
    with pytest.raises(keras_cct.InputError, match=r"shape \(1, 8, 8, 1\)"):
        list(predict(model, np.zeros((8, 8, 1))))
    with pytest.raises(keras_cct.InputError, match="NaN"):
        list(predict(model, np.full((8, 8, 3), np.nan)))
    with pytest.raises(keras_cct.InputError, match="batch_size"):
        list(predict(model, np.zeros((8, 8, 3)), batch_size=0))
