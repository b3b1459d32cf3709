"""A folder without splits, its split by a hash, and slices."""

import numpy as np
import pytest
from fixtures.images import image_folder, photos_in

from keras_cct.data.sources.folder import evaluation_files, split_files
from keras_cct.data.sources.open import open_evaluation, open_source, recipe_source
from keras_cct.data.sources.source import Source
from keras_cct.data.sources.split import (
    divide_into_folds,
    hold_out,
    parse_split,
    path_fraction,
    read_split,
    write_split,
)
from keras_cct.errors import InputError
from keras_cct.recipe.recipe import Recipe


def split_pets(folder, **keys) -> list[list[str]]:
    """Returns the names of the images of each split."""
    splits = split_files(Source("pets", str(folder), **keys))
    return [[path.removeprefix(f"{folder}/") for path, _ in files] for files in splits]


def classes_in(names) -> set[str]:
    return {name.split("/")[-2] for name in names}


def files_of(folder, counts: dict[str, int]) -> list[tuple[str, str]]:
    return [(str(folder / name / f"{number}.png"), name) for name, count in counts.items() for number in range(count)]


def test_a_folder_without_splits_is_split_by_class(tmp_path):
    image_folder(tmp_path, {"cat": 8, "dog": 8})
    train, evaluation = open_source(Source("pets", str(tmp_path), val_fraction=0.3))
    assert train.class_names == evaluation.class_names == ("cat", "dog")
    assert set(train.labels) == set(evaluation.labels) == {0, 1}
    assert [list(data.names) for data in (train, evaluation)] == [
        [str(tmp_path / name) for name in names] for names in split_pets(tmp_path, val_fraction=0.3)
    ]
    assert len(train) + len(evaluation) == len({*train.names, *evaluation.names}) == 16


def test_the_fraction_is_that_of_each_class(tmp_path):
    train, evaluation = hold_out(files_of(tmp_path, {"cat": 2000, "dog": 500}), tmp_path, 0.2, seed=42)
    for name, count in (("cat", 2000), ("dog", 500)):
        held_out = sum(label == name for _, label in evaluation)
        # Four standard deviations of the binomial distribution.
        assert abs(held_out - 0.2 * count) < 4 * np.sqrt(count * 0.2 * 0.8)
    assert len(train) + len(evaluation) == 2500


def test_adding_photos_moves_no_others(tmp_path):
    few, many = files_of(tmp_path, {"cat": 100, "dog": 100}), files_of(tmp_path, {"ant": 50, "cat": 300, "dog": 100})
    before, after = (set(hold_out(files, tmp_path, 0.2, seed=1)[1]) for files in (few, many))
    assert before == after & set(few)
    assert before != set(hold_out(few, tmp_path, 0.2, seed=2)[1])


def test_the_place_of_an_image_does_not_depend_on_where_the_folder_is(tmp_path):
    for name in ("cat/1.png", "dog/Ünïcode 2.png"):
        places = {path_fraction(str(folder / name), folder, 42) for folder in (tmp_path, tmp_path / "a" / "b")}
        assert len(places) == 1


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (3, 1)])
def test_small_classes_have_an_image_in_each_split(count, held_out, tmp_path):
    for seed in range(20):
        train, evaluation = hold_out(files_of(tmp_path, {"cat": count}), tmp_path, 0.01, seed)
        assert (len(train), len(evaluation)) == (count - held_out, held_out)
        train, _ = hold_out(files_of(tmp_path, {"cat": count}), tmp_path, 0.99, seed)
        assert len(train) == 1


def test_a_training_folder_alone_is_split(tmp_path):
    image_folder(tmp_path, {"train/cat": 6, "train/dog": 6})
    train, evaluation = split_pets(tmp_path)
    assert len(train) + len(evaluation) == 12
    assert all(name.startswith("train/") for name in evaluation)


def test_a_class_named_like_a_split_is_a_class(tmp_path):
    image_folder(tmp_path, {"car": 5, "train": 5})
    assert classes_in(split_pets(tmp_path)[0]) == {"car", "train"}


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_slices_divide_a_folder(prefix, tmp_path):
    image_folder(tmp_path, {f"{prefix}cat": 10, f"{prefix}dog": 10})
    by_percent = split_pets(tmp_path, train_split="train[:60%]", val_split="train[60%:]")
    by_number = split_pets(tmp_path, train_split="train[:-5]", val_split="train[15:]")
    from_the_end = split_pets(tmp_path, train_split="train[:60%]", val_split="train[-40%:]")
    assert [len(names) for names in by_number] == [15, 5]
    assert sum(len(names) for names in by_percent) == 20
    assert by_percent == from_the_end
    for train, evaluation in (by_percent, by_number):
        assert not set(train) & set(evaluation)
        assert classes_in(train) == {"cat", "dog"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train_split": "train[:80%]"}, "has no folder 'val|valid"),
        ({"train_split": "train[:80%]", "val_split": "train[70%:]"}, "share"),
        ({"train_split": "train[:80%]", "val_split": "train[100:]"}, "split 'train[100:]' of '{folder}' has no images"),
        ({"train_split": "train[:x]"}, "split 'train[:x]' is not a slice"),
        ({"train_split": "train[:120%]"}, "split 'train[:120%]' is not a slice"),
        ({"val_fraction": 0.0}, "has no evaluation images and val_fraction is 0"),
        ({"label_depth": 2}, "label_depth=2, but the folder depth of '{folder}/cat/0.png' in '{folder}' is 1"),
    ],
)
def test_splits_that_cannot_be_made_are_one_line(keys, message, tmp_path):
    image_folder(tmp_path, {"cat": 8, "dog": 8})
    with pytest.raises(InputError) as error:
        split_pets(tmp_path, **keys)
    assert message.format(folder=tmp_path) in str(error.value)


def test_classes_of_one_image_cannot_be_split(tmp_path):
    image_folder(tmp_path, {"cat": 1, "dog": 1})
    with pytest.raises(InputError, match="no class in .* has two images"):
        split_pets(tmp_path)


def test_the_split_of_a_run_is_kept_when_photos_are_added(tmp_path):
    folder = image_folder(tmp_path / "photos", {"cat": 6, "dog": 6})
    files = split_files(Source("pets", str(folder)))
    write_split(tmp_path / "split.csv", folder, *files)
    assert read_split(tmp_path / "split.csv", folder) == files
    photos_in(folder, ["cat/new.png", "elk/1.png", "elk/2.png"])
    after = open_source(Source("pets", str(folder), val_fraction=0.5, seed=7), tmp_path / "split.csv")
    assert [list(data.names) for data in after] == [[path for path, _ in part] for part in files]


@pytest.mark.parametrize("row", ["train,cat", "train,cat,../secret.png", "train,cat,/etc/secret.png"])
def test_a_damaged_split_is_one_line(row, tmp_path):
    (tmp_path / "split.csv").write_text(f"split,class,path\nvalidation,cat,a.png\n{row}\n")
    with pytest.raises(InputError, match="split.csv' is not the split of a run"):
        read_split(tmp_path / "split.csv", tmp_path)


def test_any_folder_of_classes_can_be_evaluated(tmp_path):
    image_folder(tmp_path / "plain", {"cat": 2, "dog": 3})
    image_folder(tmp_path / "split", {"train/cat": 2, "test/cat": 1})
    assert len(open_evaluation(Source("a", str(tmp_path / "plain")))) == 5
    for folder, split, count in (("split", "validation", 1), ("split", "train", 2), ("plain", "all[:2]", 2)):
        assert len(evaluation_files(Source("a", str(tmp_path / folder), val_split=split))) == count
    with pytest.raises(InputError, match="no folder 'odd'"):
        evaluation_files(Source("a", str(tmp_path / "plain"), val_split="odd"))
    image_folder(tmp_path / "training", {"train/cat": 2})
    with pytest.raises(InputError, match="has no folder 'val|valid"):
        evaluation_files(Source("a", str(tmp_path / "training")))


def test_slices_are_parsed_as_in_tfds():
    assert parse_split("train") == ("train", None)
    for text in ("train[:80%]", "train[10:]", "train[-10%:]", "train[5:90%]", "train[:]"):
        name, part = parse_split(text)
        assert (name, part is None) == ("train", False)


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_each_image_is_in_one_fold_and_folds_are_stratified(folds, tmp_path):
    files = files_of(tmp_path, {"cat": 23, "dog": 40, "owl": 3})
    splits = [divide_into_folds(files, tmp_path, folds, fold, seed=1) for fold in range(1, folds + 1)]
    assert sorted(path for _, evaluation in splits for path, _ in evaluation) == sorted(path for path, _ in files)
    for train, evaluation in splits:
        assert sorted(train + evaluation) == sorted(files)
        assert {name for _, name in train} == {"cat", "dog", "owl"}
    for names in ("cat", "dog", "owl", ("cat", "dog", "owl")):
        counts = [sum(name in names for _, name in evaluation) for _, evaluation in splits]
        assert max(counts) - min(counts) <= 1


def test_folds_depend_on_the_seed_and_not_on_the_order_of_files(tmp_path):
    files = files_of(tmp_path, {"cat": 20, "dog": 20})
    first, same, other = (
        set(divide_into_folds(listed, tmp_path, 4, 1, seed)[1])
        for listed, seed in ((files, 1), (files[::-1], 1), (files, 2))
    )
    assert first == same
    assert first != other


def test_a_folder_opens_as_a_fold(tmp_path):
    image_folder(tmp_path, {"cat": 4, "dog": 4})
    sources = [Source("pets", str(tmp_path), folds=2, fold=fold) for fold in (1, 2)]
    train, evaluation = open_source(sources[0])
    assert (len(train), len(evaluation)) == (4, 4)
    assert set(evaluation.labels) == {0, 1}
    held_out = [[path for path, _ in split_files(source)[1]] for source in sources]
    assert list(evaluation.names) == held_out[0]
    assert len({*held_out[0], *held_out[1]}) == 8


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"dataset": "sample"}, "'sample' has fixed splits"),
        ({"dataset": "tfds/mnist"}, "'tfds/mnist' has fixed splits"),
        ({"dataset": "pets", "data_dir": "{folder}"}, "has fixed splits"),
        (
            {"dataset": "pets", "data_dir": "{folder}/train", "train_split": "train[:50%]"},
            "'train\\[:50%\\]' conflicts",
        ),
        ({"dataset": "pets", "data_dir": "{folder}/train", "folds": 9}, "8 images, fewer than folds=9"),
        (
            {"dataset": "pets", "data_dir": "{folder}/train", "fold": 0},
            "fold must be in \\[1, 3\\] with folds=3, got 0",
        ),
        ({"dataset": "pets", "data_dir": "{folder}/single"}, "class 'dog' in .* has a single image"),
    ],
)
def test_folds_that_make_no_sense_are_one_line(source, expected, tmp_path):
    for split, counts in (("train", {"cat": 4, "dog": 4}), ("val", {"cat": 2, "dog": 2})):
        image_folder(tmp_path / split, counts)
    image_folder(tmp_path / "single", {"cat": 4, "dog": 1})
    keys = {key: value.format(folder=tmp_path) if isinstance(value, str) else value for key, value in source.items()}
    with pytest.raises(InputError, match=expected):
        open_source(Source(**({"folds": 3, "fold": 1} | keys)))


def test_the_split_seed_takes_the_place_of_the_seed(tmp_path):
    image_folder(tmp_path, {"cat": 10, "dog": 10})
    evaluations = [
        split_files(recipe_source(Recipe("cvt_2_4_32", "pets", data_dir=str(tmp_path), **keys)))[1]
        for keys in ({"seed": 7}, {"seed": 8, "split_seed": 7}, {"seed": 8})
    ]
    assert evaluations[0] == evaluations[1] != evaluations[2]
