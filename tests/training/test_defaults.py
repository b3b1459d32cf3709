"""The recipe that is chosen for images without a config."""

import dataclasses

import numpy as np
import pytest
from fixtures.images import encoded, photo, photos_in

import keras_cct
from keras_cct.cli import main
from keras_cct.data.images import EncodedImages, LabeledImages
from keras_cct.training import defaults
from keras_cct.training.defaults import DataFacts, choose_recipe, measure
from keras_cct.weights import files

DARK = ((0.1, 0.2, 0.3), (0.2, 0.2, 0.2))


def facts(counts=(50, 40), size=(300, 200), channels=3, sizes=None) -> DataFacts:
    mean, std = DARK
    return DataFacts(counts, 10, np.array(sizes or [size, size]), channels, mean[:channels], std[:channels])


def chosen(monkeypatch, found: DataFacts, **keys):
    monkeypatch.setattr(defaults, "open_data", lambda recipe: (None, range(found.num_eval)))
    monkeypatch.setattr(defaults, "measure", lambda train, num_eval: found)
    return choose_recipe(**({"dataset": "mine"} | keys))


@pytest.mark.parametrize(
    ("found", "model", "img_size"),
    [
        (facts(size=(28, 28)), "cct_2_3x2_32", 0),
        (facts(sizes=[(28, 28), (30, 40)]), "cct_2_3x2_32", 32),
        (facts(counts=(30_000,) * 2, size=(32, 32)), "cct_7_3x1_32", 0),
        (facts(size=(64, 90)), "cct_2_3x2_32", 64),
        (facts(counts=(30_000,) * 2, size=(64, 90)), "cct_7_3x2_32", 64),
        (facts(size=(3000, 4000)), "cct_7_7x2_224", 128),
        (facts(counts=(30_000,) * 2, size=(3000, 4000)), "cct_7_7x2_224", 224),
    ],
)
def test_model_and_image_size_follow_the_images(found, model, img_size, monkeypatch):
    choice = chosen(monkeypatch, found)
    assert (choice.recipe.model, choice.recipe.img_size) == (model, img_size)
    assert choice.recipe.mean == found.mean
    assert not choice.recipe.pretrained
    assert all("\n" not in line for line in choice.lines)
    assert model in choice.lines[1]


@pytest.mark.parametrize(("count", "batch_size"), [(4, 4), (36, 4), (144, 16), (500, 32), (600, 64), (9_000, 64)])
def test_batches_fit_small_sets(count, batch_size, monkeypatch):
    recipe = chosen(monkeypatch, facts(counts=(count // 2,) * 2)).recipe
    assert recipe.batch_size == batch_size
    assert 20 <= recipe.epochs <= 100
    assert recipe.warmup_epochs < recipe.epochs


def test_a_cross_validation_has_the_recipe_of_a_single_run(tmp_path):
    for number in range(18):  # the median is near the limit between two models, so that parts of the set differ
        photos_in(tmp_path / "pets" / f"{number % 2}", [f"{number}.png"], size=(119 + number, 200))
    keys = {"dataset": "pets", "data_dir": str(tmp_path / "pets")}
    single, folds = choose_recipe(**keys), choose_recipe(**keys, folds=2)
    assert dataclasses.replace(folds.recipe, folds=0) == single.recipe
    assert "found 18 images of 2 classes, for 2 folds, 200x119 to" in folds.lines[0]


def test_small_gray_sets_start_from_the_shipped_weights(monkeypatch):
    choice = chosen(monkeypatch, facts(size=(28, 28), channels=1))
    assert choice.recipe.pretrained
    assert "weights trained on fashion_mnist" in choice.lines[1]


def test_photos_start_from_published_weights_that_are_at_hand(monkeypatch, tmp_path):
    assert "`--model cct_14_7x2_224 --pretrained` downloads" in chosen(monkeypatch, facts()).lines[1]
    monkeypatch.setenv("KERAS_CCT_CHECKPOINT_DIR", str(tmp_path))
    (tmp_path / "cct_14_7x2_224_imagenet.pth").touch()
    monkeypatch.setattr(files, "import_torch", lambda: None)
    choice = chosen(monkeypatch, facts())
    assert (choice.recipe.model, choice.recipe.pretrained) == ("cct_14_7x2_224", True)
    assert "weights trained on imagenet" in choice.lines[1]


def test_photos_are_resized_to_the_size_of_a_requested_variant(monkeypatch):
    assert chosen(monkeypatch, facts(), model="cct_7_3x1_32").recipe.img_size == 32
    assert chosen(monkeypatch, facts(), model="cct_14_7x2_384").recipe.img_size == 384
    assert chosen(monkeypatch, facts(size=(28, 28)), model="cct_7_3x1_32").recipe.img_size == 0


@pytest.mark.parametrize("weights", [{"pretrained": True}, {"initial_checkpoint": "init.keras"}])
def test_weights_are_fine_tuned_with_few_epochs_and_a_low_learning_rate(weights, monkeypatch):
    recipe = chosen(monkeypatch, facts(), model="cct_14_7x2_224", **weights).recipe
    assert (recipe.epochs, recipe.lr) == (30, 5e-5)


def test_given_keys_override_the_choice(monkeypatch):
    choice = chosen(monkeypatch, facts(), model="cvt_2_4_32", epochs=5, lr=0.5)
    recipe = choice.recipe
    assert (recipe.model, recipe.epochs, recipe.lr, recipe.warmup_epochs) == ("cvt_2_4_32", 5, 0.5, 0)
    assert "as requested" in choice.lines[1]


def test_the_schedule_follows_a_given_learning_rate_and_batch_size(monkeypatch):
    recipe = chosen(monkeypatch, facts(), lr=5e-6).recipe
    assert (recipe.lr, recipe.warmup_lr, recipe.min_lr) == pytest.approx((5e-6, 5e-7, 5e-8))
    assert chosen(monkeypatch, facts(counts=(3_000, 3_000)), batch_size=8).recipe.lr == 2.5e-4


@pytest.mark.parametrize(
    ("found", "pretrained", "model", "epochs"),
    [
        (facts(counts=(3_000, 3_000), size=(28, 28), channels=1), False, "cct_2_3x2_32", 20),
        (facts(counts=(3_000, 3_000), size=(28, 28), channels=1), True, "cct_2_3x2_32", 5),
        (facts(counts=(3_000, 3_000), size=(32, 32)), True, "cct_7_3x1_32", 5),
        (facts(size=(64, 90)), True, "cct_14_7x2_224", 30),
        (facts(), True, "cct_14_7x2_224", 30),
    ],
)
def test_pretrained_decides_the_model_and_the_schedule(found, pretrained, model, epochs, monkeypatch):
    recipe = chosen(monkeypatch, found, pretrained=pretrained).recipe
    assert (recipe.model, recipe.pretrained, recipe.epochs) == (model, pretrained, epochs)


def test_weights_at_hand_can_be_declined(monkeypatch):
    monkeypatch.setattr(defaults, "_can_load_pretrained", lambda variant: True)
    recipe = chosen(monkeypatch, facts(), pretrained=False).recipe
    assert (recipe.model, recipe.pretrained) == ("cct_7_7x2_224", False)


def test_the_recipe_is_written_with_a_comment_per_key(monkeypatch, tmp_path):
    choice = chosen(monkeypatch, facts())
    (tmp_path / "recipe.yml").write_text(choice.to_yaml())
    assert keras_cct.load_recipe(tmp_path / "recipe.yml") == choice.recipe
    lines = choice.to_yaml().splitlines()
    assert lines[:2] == [f"# {line}" for line in choice.lines]
    for number, line in enumerate(lines):
        assert line.startswith("#") or not line or lines[number - 1].startswith("# ")


def test_arrays_are_measured():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype="uint8")
    found = measure(LabeledImages(images, np.array([0, 0, 0, 1, 1]), ("a", "b")), num_eval=3)
    assert (found.counts, found.num_eval, found.short_side, found.has_one_size) == ((3, 2), 3, 6, True)
    assert found.mean == pytest.approx((images.mean() / 255,))
    assert found.std == pytest.approx((images.std() / 255,))


def test_encoded_images_are_measured_on_a_sample(monkeypatch):
    monkeypatch.setattr(defaults, "MAX_SAMPLED_IMAGES", 3)
    contents = [encoded(photo(20 + number, 30), "PNG") for number in range(6)]
    images = EncodedImages([f"{n}" for n in range(6)], np.array([0, 0, 0, 0, 0, 1]), ("a", "b"), contents)
    found = measure(images, num_eval=3)
    assert found.counts == (5, 1)
    assert sorted(found.sizes.min(axis=1).tolist()) == [20, 22, 25]


def test_init_writes_what_train_would_choose(capsys, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype="uint8")
    labels = np.arange(12) % 2
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = [str(tmp_path / "mine.npz"), "--epochs", "3"]
    assert main(["init", *arguments, "-o", str(tmp_path / "mine.yml")]) == 0
    written = keras_cct.load_recipe(tmp_path / "mine.yml")
    assert (written.dataset, written.epochs, written.batch_size) == ("mine", 3, 4)
    capsys.readouterr()
    assert main(["train", *arguments, "--print-recipe"]) == 0
    (tmp_path / "printed.yml").write_text(capsys.readouterr().out)
    assert keras_cct.load_recipe(tmp_path / "printed.yml") == written
    assert main(["init", *arguments, "-o", str(tmp_path / "mine.yml")]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{photos}", "--output", "{photos}"], "is not empty"),
        (["init", "{photos}", "-o", "{photos}/none/recipe.yml"], "the folder '{photos}/none' does not exist"),
    ],
)
def test_the_output_is_checked_before_the_images_are_read(arguments, message, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(defaults, "open_data", lambda recipe: pytest.fail("reads the images"))
    (tmp_path / "photo.png").touch()
    assert main([argument.format(photos=tmp_path) for argument in arguments]) == 2
    assert message.format(photos=tmp_path) in capsys.readouterr().err
