import keras
import numpy as np
import pytest
from fixtures.arrays import to_numpy
from fixtures.small_run import assert_same_weights, first_images, rows_of, small_archive, small_recipe

import keras_cct
from keras_cct.training import run as training_run
from keras_cct.training.losses import Distillation, DistillationLoss
from keras_cct.training.setup import create_training_model, plan_training, with_absolute_paths
from keras_cct.training.teacher import Teacher

TEACHER_LOGITS = np.array([[3.0, 0.0, -1.0], [0.0, 1.0, 2.0]], "float32")
LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]], "float32")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_soft_distillation_is_the_divergence_at_a_temperature(tau):
    teacher, student = (log_softmax(logits / tau) for logits in (TEACHER_LOGITS, LOGITS))
    expected = tau**2 * (np.exp(teacher) * (teacher - student)).sum(axis=-1).mean()
    assert float(DistillationLoss("soft", tau)(TEACHER_LOGITS, LOGITS)) == pytest.approx(expected, rel=1e-5)
    assert float(DistillationLoss("soft", tau)(LOGITS, LOGITS)) == pytest.approx(0, abs=1e-6)


def test_hard_distillation_is_the_cross_entropy_with_the_top_class():
    expected = -log_softmax(LOGITS)[[0, 1], [0, 2]].mean()
    assert float(DistillationLoss("hard")(TEACHER_LOGITS, LOGITS)) == pytest.approx(expected, rel=1e-6)


def small_teacher(**fields) -> keras.Model:
    settings = {"num_layers": 1, "dim": 16, "num_heads": 2, "input_shape": (28, 28, 1)}
    names = first_images("train", 1).class_names
    return keras_cct.create_model("cct_2_3x2_32", **(settings | {"class_names": names} | fields))


@pytest.fixture
def teacher_file(tmp_path):
    path = tmp_path / "teacher.keras"
    small_teacher().save(path)
    return path


def student_of(**keys) -> keras.Model:
    keras.utils.set_random_seed(1)
    return create_training_model(plan_training(small_recipe(**keys), 16), first_images("train", 1))


@pytest.mark.one_backend
def test_the_mixed_loss_teaches_the_student_only(teacher_file):
    keys = {"teacher": str(teacher_file), "distillation_alpha": 0.25, "distillation_tau": 2.0}
    model, plain = student_of(**keys), student_of()
    assert [weight.path for weight in model.weights] == [weight.path for weight in plain.weights]
    assert (len(model.variables), len(model.layers)) == (len(plain.variables), len(plain.layers))
    assert model.count_params() == plain.count_params()
    for weight, same in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    distillation = model.distillation
    assert type(distillation) is Distillation
    assert distillation.teacher.trainable_weights == []
    images = first_images("train", 2).images.astype("float32")
    targets = keras.ops.one_hot(first_images("train", 2).labels, 10)
    logits, teacher_logits = model(images), distillation.teacher(images)
    with_targets = to_numpy(keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits))
    with_teacher = to_numpy(DistillationLoss("soft", 2.0)(teacher_logits, logits))
    mixed, evaluated = (to_numpy(model.compute_loss(images, targets, logits, training=mode)) for mode in (True, False))
    assert mixed == pytest.approx(0.75 * with_targets + 0.25 * with_teacher, rel=1e-5)
    assert evaluated == pytest.approx(with_targets, rel=1e-5)
    before = [to_numpy(weight).copy() for weight in distillation.teacher.weights]
    model.train_on_batch(images, to_numpy(targets))
    for weight, value in zip(distillation.teacher.weights, before, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)


@pytest.mark.slow
def test_a_student_that_only_listens_learns_from_its_teacher():
    images, labels = first_images("train", 2).images.astype("float32"), np.eye(10, dtype="float32")[[0] * 20]
    model = student_of(teacher="fashion_mnist", distillation_alpha=1.0)
    losses = [model.train_on_batch(images, labels)[0] for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"input_shape": (32, 28, 1)},
            "takes images of (height, width, channels) = (32, 28, 1), but this run trains on",
        ),
        ({"input_shape": (28, 28, 3)}, "= (28, 28, 3), but this run trains on (28, 28, 1). Set img_size"),
        ({"num_classes": 3, "class_names": ["a", "b", "c"]}, "has 3 classes, but the data has 10"),
        ({"class_names": [*"abcdefghij"]}, "is 'a', but that of the data is 't-shirt'"),
        ({"normalization": None}, "takes normalized images, not pixels"),
        ({"include_top": False}, "does not end in class logits"),
    ],
    ids=str,
)
def test_a_teacher_of_other_images_or_classes_is_refused(fields, message, tmp_path):
    small_teacher(**fields).save(tmp_path / "teacher.keras")
    teacher = Teacher.from_recipe(small_recipe(teacher=str(tmp_path / "teacher.keras")))
    with pytest.raises(keras_cct.InputError) as error:
        teacher.check(teacher.load(), (28, 28, 1), first_images("train", 1))
    assert message in str(error.value)


@pytest.mark.parametrize("names", [None, [str(index) for index in range(10)]])
def test_a_teacher_without_class_names_is_accepted(names, tmp_path):
    small_teacher(class_names=names, num_classes=10).save(tmp_path / "teacher.keras")
    teacher = Teacher.from_recipe(small_recipe(teacher=str(tmp_path / "teacher.keras")))
    teacher.check(teacher.load(), (28, 28, 1), first_images("train", 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.keras", "teacher 'nowhere.keras' does not exist. Pass a run folder, a .keras file,"),
        ("imagenet", "have the tag 'imagenet' of the teacher. Choose one of cct_14_7x2_224:imagenet, cct_14_7x2_384:"),
        ("a" * 300, "does not exist"),
        ("empty", "is not a model"),
        ("weights.safetensors", "is not a model"),
    ],
)
def test_a_teacher_that_is_no_model_is_refused_before_the_images_are_read(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(keras_cct.InputError) as error:
        plan_training(small_recipe(teacher=name), 16)
    assert message in str(error.value)


def test_published_weights_are_a_teacher():
    teacher = Teacher.from_recipe(small_recipe(teacher="fashion_mnist"))
    assert teacher == Teacher.from_recipe(small_recipe(teacher=teacher.name))
    named = Teacher.from_recipe(small_recipe(teacher="cct_2_3x2_32:fashion_mnist"))
    assert (named.path, named.sha256) == (teacher.path, teacher.checkpoint.sha256)
    model = teacher.load()
    teacher.check(model, (28, 28, 1), first_images("train", 1))
    data = first_images("test", 4)
    assert (to_numpy(model(data.images)).argmax(axis=1) == data.labels).mean() > 0.7


def test_a_run_is_a_teacher_with_its_best_model(teacher_file):
    run = teacher_file.parent / "run"
    run.mkdir()
    (run / "recipe.yml").write_text(small_recipe().to_yaml())
    with pytest.raises(keras_cct.InputError, match="has no model yet"):
        Teacher.from_recipe(small_recipe(teacher=str(run)))
    teacher_file.rename(run / "best.keras")
    assert Teacher.from_recipe(small_recipe(teacher=str(run))).path == run / "best.keras"


def test_a_model_on_the_hub_is_a_teacher(teacher_file, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    path = tmp_path / "ada" / "pets" / "model.keras"
    path.parent.mkdir(parents=True)
    teacher_file.rename(path)
    assert Teacher.from_recipe(small_recipe(teacher="hf://ada/pets")).path == path


def test_the_path_of_a_teacher_becomes_absolute_and_a_tag_stays(teacher_file, monkeypatch):
    monkeypatch.chdir(teacher_file.parent)
    assert with_absolute_paths(small_recipe(teacher="teacher.keras")).teacher == str(teacher_file)
    assert with_absolute_paths(small_recipe(teacher="fashion_mnist")).teacher == "fashion_mnist"


@pytest.mark.slow
def test_a_run_with_a_teacher_saves_the_student_and_resumes_with_the_same_teacher(tmp_path, teacher_file, monkeypatch):
    monkeypatch.setattr(training_run, "_finish", lambda recipe, rows, folder, *_: folder)
    data, content = small_archive(tmp_path / "small.npz"), teacher_file.read_bytes()
    keys = {"dataset": "small", "data_dir": str(data), "teacher": str(teacher_file), "sched": "step"}
    whole = keras_cct.train(small_recipe(**keys), tmp_path / "whole")
    saved = keras.models.load_model(whole.last_model)
    plain = keras_cct.create_model("cct_2_3x2_32", input_shape=(28, 28, 1))
    assert type(saved) is type(plain)
    assert [weight.path for weight in saved.weights] == [weight.path for weight in plain.weights]

    part = keras_cct.train(small_recipe(**keys, epochs=1), tmp_path / "part")
    small_teacher().save(teacher_file)
    with pytest.raises(keras_cct.InputError, match=r"teacher .* has changed since the run started: the SHA-256"):
        keras_cct.resume(part.path, epochs=2)
    teacher_file.write_bytes(content)
    resumed = keras_cct.resume(part.path, epochs=2)
    if (
        keras.backend.backend() == "torch"
    ):  # The rounding of PyTorch's kernels depends on the memory of their arguments.
        losses = [[float(row["train_loss"]) for row in rows_of(run)] for run in (resumed, whole)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    else:
        assert rows_of(resumed) == rows_of(whole)
        assert_same_weights(whole.last_model, resumed.last_model)
