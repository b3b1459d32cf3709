import pytest
from fixtures.predictors import FixedPredictor
from PIL import Image

import keras_cct
from keras_cct.inference.prediction import predict_files


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
