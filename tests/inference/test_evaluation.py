import numpy as np
import pytest
from PIL import Image

import keras_cct
from keras_cct.data.images import LabeledImages
from keras_cct.inference.evaluation import evaluate, predict_files


class Known:
    """A predictor that answers given probabilities in turn."""

    image_shape = (4, 4, 1)
    class_names = ("a", "b", "c", "d", "e", "f")

    def __init__(self, probabilities):
        self.rest = list(probabilities)
        self.seen = []

    def probabilities(self, images):
        self.seen.append(images)
        return np.array([self.rest.pop(0) for _ in images])


def labeled(labels: list[int]) -> LabeledImages:
    return LabeledImages(np.zeros((len(labels), 4, 4, 1), "uint8"), np.array(labels), Known.class_names)


def test_accuracy_counts_the_first_and_the_first_five():
    falling = [0.3, 0.25, 0.2, 0.15, 0.08, 0.02]
    accuracy = evaluate(Known([falling] * 8), labeled([0, 0, 0, 1, 4, 5, 5, 2]), batch_size=3)
    assert accuracy == {"top1": 37.5, "top5": 75.0}


def test_labels_are_matched_by_name():
    renamed = LabeledImages(np.zeros((2, 4, 4, 1), "uint8"), np.array([0, 5]), Known.class_names[::-1])
    assert evaluate(Known([[0, 0, 0, 0, 0, 1]] * 2), renamed)["top1"] == 50.0


def test_images_of_another_size_are_resized():
    predictor = Known([[1, 0, 0, 0, 0, 0]])
    black = LabeledImages(np.full((1, 8, 6, 1), 7, "uint8"), np.array([0]), Known.class_names)
    evaluate(predictor, black)
    np.testing.assert_array_equal(predictor.seen[0], np.full((1, 4, 4, 1), 7))


def test_a_gray_model_sees_color_as_gray():
    predictor = Known([[1, 0, 0, 0, 0, 0]])
    color = np.broadcast_to(np.array([255, 0, 0], "uint8"), (1, 4, 4, 3))
    evaluate(predictor, LabeledImages(color, np.array([0]), Known.class_names))
    np.testing.assert_array_equal(predictor.seen[0], np.full((1, 4, 4, 1), 76))  # 0.299 * 255


def test_classes_of_other_names_are_compared_by_order_with_a_warning(caplog):
    other = LabeledImages(np.zeros((1, 4, 4, 1), "uint8"), np.array([1]), tuple("uvwxyz"))
    assert evaluate(Known([[0, 1, 0, 0, 0, 0]]), other)["top1"] == 100.0
    assert caplog.messages == [
        "the model's classes (a, ...) are named otherwise than the data's (u, ...): compared by their order"
    ]


def test_images_or_classes_that_do_not_fit_are_refused():
    other = LabeledImages(np.zeros((2, 4, 4, 2), "uint8"), np.array([0, 1]), Known.class_names)
    with pytest.raises(keras_cct.InputError, match=r"takes images of 1 channels, the data set has 2"):
        evaluate(Known([]), other)
    with pytest.raises(keras_cct.InputError, match="the model knows 2 classes, the data set 6"):
        evaluate(Known([[0.5, 0.5]]), labeled([0]))


def test_predictions_name_the_most_probable_first(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    (classes,) = predict_files(Known([[0.1, 0.2, 0.4, 0.05, 0.25, 0.0]]), [tmp_path / "black.png"], top=3)
    assert classes == [("c", 0.4), ("e", 0.25), ("b", 0.2)]


def test_one_bad_file_stops_before_any_prediction(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    with pytest.raises(keras_cct.InputError, match="none.png"):
        next(predict_files(Known([[1, 0, 0, 0, 0, 0]]), [tmp_path / "black.png", tmp_path / "none.png"]))


def test_a_keras_file_predicts_with_its_class_names(tmp_path):
    model = keras_cct.create_model("cct_2_3x2_32", num_classes=2, class_names=["cat", "dog"])
    model.save(tmp_path / "model.keras")
    predictor = keras_cct.load_predictor(tmp_path / "model.keras")
    Image.new("RGB", (64, 48)).save(tmp_path / "black.png")
    (classes,) = predict_files(predictor, [tmp_path / "black.png"])
    assert {name for name, _ in classes} == {"cat", "dog"}
    assert sum(probability for _, probability in classes) == pytest.approx(1, abs=1e-6)


def test_classes_without_names_are_numbered(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    predictor = Known([[0.1, 0.9]])
    predictor.class_names = None
    assert next(predict_files(predictor, [tmp_path / "black.png"])) == [("1", 0.9), ("0", 0.1)]


def test_broken_models_are_refused(tmp_path):
    with pytest.raises(keras_cct.InputError, match="no model at .* Give a .keras file or the folder of a SavedModel"):
        keras_cct.load_predictor(tmp_path / "none.keras")
    keras_cct.create_model("cct_2_3x2_32").save(tmp_path / "model.keras")
    content = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(keras_cct.InputError, match="is not a .keras file, or a broken one"):
        keras_cct.load_predictor(tmp_path / "half.keras")
    (tmp_path / "holed.keras").write_bytes(content[:5000] + bytes(500) + content[5500:])
    with pytest.raises(keras_cct.InputError, match="cannot be loaded as a Keras model") as error:
        keras_cct.load_predictor(tmp_path / "holed.keras")
    assert "\n" not in str(error.value)
    with pytest.raises(
        keras_cct.InputError, match="is not a whole SavedModel written by keras_cct. Give .* `saved_model` in"
    ):
        keras_cct.load_predictor(tmp_path)


def test_models_that_take_no_pixels_are_refused(tmp_path):
    keras_cct.create_model("cct_2_3x2_32", normalization=None).save(tmp_path / "normalized.keras")
    with pytest.raises(keras_cct.InputError, match="takes normalized images, not pixels"):
        keras_cct.load_predictor(tmp_path / "normalized.keras")


def test_models_without_scores_are_refused(tmp_path):
    keras_cct.create_model("cct_2_3x2_32", include_top=False).save(tmp_path / "features.keras")
    with pytest.raises(keras_cct.InputError, match="does not end in class scores"):
        keras_cct.load_predictor(tmp_path / "features.keras")


def test_models_that_answer_nan_are_refused():
    with pytest.raises(keras_cct.InputError, match="the model answers NaN; its weights are broken"):
        evaluate(Known([[float("nan")] * 6]), labeled([0]))
